package apetest_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape"
	"github.com/goape/ape/apetest"
)

// join opens an ape.1 WebSocket, says hello and reads the welcome.
func join(t *testing.T, s *apetest.Server) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), s.URL(), &websocket.DialOptions{HTTPClient: s.Client(), Subprotocols: []string{"ape.1"}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, ws, "h {}\n")
	if line := read(t, ws); !strings.HasPrefix(line, "w {") {
		t.Fatalf("the welcome is %q", line)
	}
	return ws
}

func write(t *testing.T, ws *websocket.Conn, line string) {
	t.Helper()
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(line)); err != nil {
		t.Fatal(err)
	}
}

// read returns the next line that is not empty.
func read(t *testing.T, ws *websocket.Conn) string {
	t.Helper()
	for {
		_, b, err := ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if line := strings.TrimSpace(string(b)); line != "" {
			return line
		}
	}
}

func TestServesApeOverBothTransports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := ape.New(nil)
		app.Handle("hello", ape.Func(func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil }))
		s := apetest.New(t, app)
		ws := join(t, s)
		write(t, ws, "c 1 hello \"Ann\"\n")
		want(t, read(t, ws), `r 1 "Hello, Ann"`)

		req, _ := http.NewRequest("GET", s.URL()+"/poll", nil)
		req.Header.Set("Ape-Protocol", "ape.1")
		req.Header.Set("Ape-Hello", "{}")
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() && lines.Text() == "" {
		}
		if line := lines.Text(); !strings.HasPrefix(line, "w {") {
			t.Errorf("the welcome over streaming: %q, %v", line, lines.Err())
		}
		want(t, app.Online(), 2)
	}) // nobody has left: the end of the test ends sessions and connections
}

func TestTheEndOfTheTestCancelsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		app := ape.New(nil)
		app.Handle("wait", ape.Do(func(ctx context.Context, _ any) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil
		}))
		inner := newTest(t)
		ws := join(t, apetest.New(inner, app))
		write(t, ws, "c 1 wait\n")
		synctest.Wait()
		start := time.Now()
		inner.end()
		if len(ended) == 0 {
			t.Error("the call was not cancelled")
		}
		want(t, inner.failures, []string{})
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("the end took %s", d)
		}
	})
}

func TestAControllerThatHangsFailsTheTestAndEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		app := ape.New(nil)
		app.Handle("hang", ape.Do(func(context.Context, any) error {
			<-release
			return nil
		}))
		inner := newTest(t)
		ws := join(t, apetest.New(inner, app))
		write(t, ws, "c 1 hang\n")
		synctest.Wait()
		start := time.Now()
		inner.end()
		if len(inner.failures) != 1 || !strings.Contains(inner.failures[0], "does a controller or a hook go on") {
			t.Errorf("failures: %q", inner.failures)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("the end took %s", d)
		}
		close(release)
	})
}

func TestHeartbeatsFindADroppedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := ape.New(&ape.Options{Heartbeat: 10 * time.Second})
		s := apetest.New(t, app)
		ws := join(t, s)
		go func() {
			for {
				if _, _, err := ws.Read(t.Context()); err != nil {
					return
				}
			}
		}()
		s.Drop()
		want(t, s.Conns(), 1)
		time.Sleep(time.Minute)
		want(t, s.Conns(), 0)
	})
}

func TestARouterAroundTheApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := ape.New(nil)
		t.Cleanup(func() { app.Shutdown(context.Background()) }) // before New
		mux := http.NewServeMux()
		mux.Handle("/live/", app)
		s := apetest.New(t, mux)
		want(t, strings.Contains(get(s, "/live/ape/ping"), `"ok":true`), true)
		ws, _, err := websocket.Dial(t.Context(), "ws://any.host/live/ape", &websocket.DialOptions{HTTPClient: s.Client(), Subprotocols: []string{"ape.1"}})
		if err != nil {
			t.Fatal(err)
		}
		write(t, ws, "h {}\n")
		read(t, ws)
		s.CutAfter(1)
		ws.Write(t.Context(), websocket.MessageText, []byte("c 1 x\n"))
		_, _, err = ws.Read(t.Context())
		wantError(t, err, syscall.ECONNRESET)
		_, err = io.WriteString(dial(t, s), "GET")
		wantError(t, err, syscall.ECONNRESET)
	})
}
