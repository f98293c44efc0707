package mounttest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/goape/ape"
)

// serve is what docs/deploy.md shows.
func serve(ctx context.Context, srv *http.Server, app *ape.Server) error {
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done(): // as of signal.NotifyContext
	}
	late, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := app.Shutdown(late) // first ape: http.Server does not know WebSockets, and streams do not end by themselves
	return errors.Join(err, srv.Shutdown(late))
}

func TestShutdownOfApeThenOfTheServer(t *testing.T) {
	p, h := newPlace(t, mounting{mount: mountMux}, ape.Options{DrainWindow: 50 * time.Millisecond})
	port := freePort(t)
	ready := make(chan struct{})
	srv := &http.Server{Addr: "127.0.0.1:" + port, Handler: h}
	srv.BaseContext = func(net.Listener) context.Context {
		close(ready)
		return context.Background()
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- serve(ctx, srv, p.app) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	p.behind(port)
	defer p.client.CloseIdleConnections()
	s := p.connect(t, []string{"ape.1"})
	s.write("h {}\n")
	s.want("w {")
	g := p.listenLines(t, "{}")
	c := p.listen(t)
	c.wantEvent("__connected__")
	stop()
	s.want(`q {"code":"restart","then":"resume"`) // come back, to whoever is there then
	g.want(`q {"code":"restart","then":"resume"`)
	guard := time.NewTimer(patience)
	defer guard.Stop()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("shutting down: %v", err)
		}
	case <-guard.C:
		t.Fatal("shutting down does not end")
	}
	health := httptest.NewRecorder()
	p.app.ServeHTTP(health, httptest.NewRequest(http.MethodGet, "/api/ape/ping", nil))
	if health.Code != http.StatusServiceUnavailable {
		t.Errorf("the ping of a server that has shut down: %d", health.Code)
	}
}

func TestShutdownOfTheServerAloneWaitsForStreams(t *testing.T) {
	srv := &http.Server{}
	bubble(t, mounting{mount: mountMux}, srv, func(t *testing.T, p *place) {
		g := p.listenLines(t, "{}")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("http.Server.Shutdown returned %v with a stream open; docs/deploy.md says that it waits", err)
		}
		g.cancel()
	})
}
