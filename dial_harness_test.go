package ape_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/apetest"
)

// road is how a Conn of a test is connected.
type road string

const (
	bySocket road = "WebSocket"
	byStream road = "streaming"
	byPoll   road = "polling" // through something that holds back responses
)

// eachRoad runs a behaviour over every kind of connection, in a bubble.
func eachRoad(t *testing.T, f func(t *testing.T, over road)) {
	for _, over := range []road{bySocket, byStream, byPoll} {
		t.Run(string(over), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, over) })
		})
	}
}

// place is a server on a network that fails.
type place struct {
	*apetest.Server
	t     *testing.T
	front *front
	log   *logged
}

// newPlace serves an app with the paths that the tests of Conn call.
func newPlace(t *testing.T, o *ape.Options) *place {
	t.Helper()
	p := &place{t: t, front: &front{}, log: &logged{}}
	p.open(o)
	p.Server = apetest.New(t, p.front)
	return p
}

// open makes a server that gets all requests from now on.
func (p *place) open(o *ape.Options) *ape.Server {
	var opt ape.Options
	if o != nil {
		opt = *o
	}
	opt.Logger = slog.New(slog.NewTextHandler(p.log, nil))
	app := ape.New(&opt)
	app.Handle("echo", ape.Func(func(_ context.Context, in any) (any, error) { return in, nil }))
	app.Handle("wait", ape.Func(func(ctx context.Context, _ struct{}) (struct{}, error) {
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	}))
	p.front.app.Store(app)
	return app
}

func (p *place) app() *ape.Server { return p.front.app.Load() }

// dial connects over a road. The Conn is closed with the test.
func (p *place) dial(over road, o *ape.DialOptions) *ape.Conn {
	p.t.Helper()
	return p.Dial(p.t, p.options(over, o))
}

func (p *place) options(over road, o *ape.DialOptions) *ape.DialOptions {
	var opt ape.DialOptions
	if o != nil {
		opt = *o
	}
	opt.Transport = map[road]ape.Transport{bySocket: ape.WebSocket, byStream: ape.Streaming, byPoll: ape.Streaming}[over]
	if opt.DialContext == nil {
		opt.DialContext = p.DialContext
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.NewTextHandler(p.log, nil))
	}
	if over == byPoll {
		p.front.buffers.Store(true)
	}
	return &opt
}

// front stands between the network and the server, as a proxy does.
type front struct {
	app     atomic.Pointer[ape.Server]
	buffers atomic.Bool                                                   // responses of GETs pass when they are whole
	block   atomic.Pointer[func(http.ResponseWriter, *http.Request) bool] // reports whether it has answered
}

func (f *front) blocks(g func(http.ResponseWriter, *http.Request) bool) { f.block.Store(&g) }

func (f *front) Shutdown(ctx context.Context) error { return f.app.Load().Shutdown(ctx) }

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g := f.block.Load(); g != nil && (*g)(w, r) {
		return
	}
	app := f.app.Load()
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/poll") && f.buffers.Load() {
		whole := &holding{ResponseWriter: w}
		app.ServeHTTP(whole, r)
		w.Write(whole.body.Bytes())
		return
	}
	app.ServeHTTP(w, r)
}

// holding holds a response back until it is whole.
type holding struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (h *holding) Write(p []byte) (int, error)        { return h.body.Write(p) }
func (h *holding) FlushError() error                  { return nil }
func (h *holding) SetReadDeadline(at time.Time) error { return nil }
func (h *holding) SetWriteDeadline(time.Time) error   { return nil }

// isUpgrade reports whether a request wants a WebSocket.
func isUpgrade(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// states are the changes that OnState was told.
type states struct {
	mu  sync.Mutex
	all []ape.StateChange
}

func (s *states) note(c ape.StateChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, c)
}

// String tells them in short; the changes are forgotten.
func (s *states) String() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, c := range s.all {
		b.WriteString("|" + string(c.State))
		if c.Transport != "" {
			b.WriteString(" " + string(c.Transport))
		}
		if c.Resumed {
			fmt.Fprintf(&b, " resumed %d", c.Recovered)
		}
		if c.Gap != "" {
			fmt.Fprintf(&b, " gap %s lost %v", c.Gap, c.Lost)
		}
		if c.Code != "" {
			b.WriteString(" " + c.Code)
		}
	}
	s.all = nil
	return strings.TrimPrefix(b.String(), "|")
}

// ask calls and wants an answer.
func ask(t *testing.T, c *ape.Conn, path string, in any, out string) {
	t.Helper()
	got, err := ape.Invoke[any](t.Context(), c, path, in, ape.Timeout(5*time.Minute))
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	want(t, got, out)
}

// outcome is what a call brought.
type outcome struct {
	out any
	err error
}

func (o outcome) String() string {
	if o.err != nil {
		return "error " + o.err.Error()
	}
	return fmt.Sprint(o.out)
}

// begin calls and does not wait.
func begin(t *testing.T, c *ape.Conn, path string, in any, opts ...ape.CallOption) <-chan outcome {
	done := make(chan outcome, 1)
	opts = append([]ape.CallOption{ape.Timeout(5 * time.Minute)}, opts...)
	go func() {
		out, err := ape.Invoke[any](t.Context(), c, path, in, opts...)
		done <- outcome{out, err}
	}()
	synctest.Wait()
	return done
}

// trail is what came, in its order.
type trail struct {
	mu  sync.Mutex
	all []string
}

func (r *trail) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, fmt.Sprintf(format, args...))
}

// String joins and forgets what came.
func (r *trail) String() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	text := strings.Join(r.all, " ")
	r.all = nil
	return text
}
