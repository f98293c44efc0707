package hostile_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
	"github.com/goape/ape/internal/memnet"
)

// setup of a world; zero values are defaults.
type setup struct {
	ape.Options
	tcp    bool // loopback instead of memnet
	buffer int  // of the network; 64 KiB
	wrap   func(*memnet.Conn) net.Conn
}

// world is a server, the network that it listens on, and its bystander.
type world struct {
	t     testing.TB
	app   *ape.Server
	by    *bystander
	guard time.Duration // how long anything may take

	listen func(context.Context) (net.Conn, error)
	peers  []*peer
	logs   *book
}

// inside runs f in a bubble with a world, whose end it waits for.
func inside(t *testing.T, o setup, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, start(t, o))
	})
}

// start makes a world. When the test ends the bystander must still be served,
// and nothing of the server may be left.
func start(t testing.TB, o setup) *world {
	t.Helper()
	w := &world{t: t, guard: 30 * time.Second, logs: &book{}}
	o.Options.Logger = slog.New(slog.NewTextHandler(w.logs, nil))
	w.app = ape.New(&o.Options)
	register(w.app)
	var ln net.Listener
	if o.tcp {
		var err error
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().String()
		w.listen = func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	} else {
		m := memnet.Listen()
		m.Buffer(o.buffer)
		if o.wrap != nil {
			m.Wrap(o.wrap)
		}
		ln, w.listen = m, func(ctx context.Context) (net.Conn, error) { return m.Dial(ctx) }
	}
	var conns sync.WaitGroup // of net/http, until closed or hijacked
	mux := http.NewServeMux()
	mux.Handle("/api/", w.app)
	srv := &http.Server{Handler: mux, ErrorLog: log.New(w.logs, "net/http: ", 0), ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			conns.Add(1)
		case http.StateClosed, http.StateHijacked:
			conns.Done()
		}
	}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(ln)
	}()
	t.Cleanup(func() {
		w.end()
		srv.Close()
		<-served
		conns.Wait()
		w.logs.check(t)
	})
	w.by = newBystander(w)
	w.served()
	return w
}

// end says good-bye to everybody, and fails unless all goroutines of the server
// end.
func (w *world) end() {
	w.served()
	for _, p := range w.peers {
		p.Close()
	}
	w.by.close()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	w.app.Shutdown(now)
	ctx, cancel := context.WithTimeout(context.Background(), w.guard)
	defer cancel()
	if err := w.app.Shutdown(ctx); err != nil {
		buf := make([]byte, 1<<20)
		w.t.Errorf("goroutines of the server are left: %v\n%s", err, buf[:runtime.Stack(buf, true)])
	}
	if s := w.app.Stats(); s.Clients != 0 || s.Channels > 2 || s.QueuedBytes != 0 { // two have a last value
		w.t.Errorf("left over at the end: %d clients, %d channels, %d bytes queued", s.Clients, s.Channels, s.QueuedBytes)
	}
}

// served fails unless the bystander's call is answered and it hears its channel.
func (w *world) served() {
	w.t.Helper()
	w.by.served(w)
}

// online waits until the server has n clients besides the bystander. Only in a
// bubble.
func (w *world) online(n int) {
	w.t.Helper()
	synctest.Wait()
	if got := w.app.Online() - 1; got != n {
		w.t.Errorf("%d clients are online, want %d", got, n)
	}
}

// register adds the paths that the tests call.
func register(app *ape.Server) {
	app.Handle("echo", ape.Func(func(_ context.Context, in any) (any, error) { return in, nil }))
	app.Handle("files/*", ape.Func(func(ctx context.Context, _ struct{}) (string, error) { return ape.From(ctx).Path(), nil }))
	app.Handle("wait", ape.Get(func(ctx context.Context) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	app.Handle("big", ape.Func(func(_ context.Context, in struct{ N int }) (string, error) {
		return strings.Repeat("x", min(max(in.N, 0), 1<<20-1000)), nil
	}))
	app.Handle("typed", ape.Func(func(_ context.Context, in order) (any, error) { return in.Count, nil }))
	app.Handle("nothing", ape.Do(func(context.Context, struct{}) error { return nil }))
	app.Handle("who", ape.Get(func(ctx context.Context) (string, error) { return ape.From(ctx).Client().ID(), nil }))
	registerStreams(app)
	app.Handle("polluted", ape.Func(func(_ context.Context, in map[string]any) (any, error) {
		other := map[string]any{}
		_, dirty := other["polluted"]
		return dirty, nil
	}))
}

// order is a typed input.
type order struct {
	Count int            `json:"count"`
	At    time.Time      `json:"at"`
	Tags  codec.Set      `json:"tags"`
	More  map[string]any `json:"more"`
}

// book collects log lines. One about a panic fails the test.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.text.Len() < 1<<20 {
		b.text.Write(p)
	}
	return len(p), nil
}

func (b *book) check(t testing.TB) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		if strings.Contains(line, "panic") {
			t.Errorf("panic: %s", line)
		}
	}
}

// bystander is an honest ape.1 client.
type bystander struct {
	p       *peer
	id      uint64
	answers chan string
	news    chan string
	over    chan struct{}
}

func newBystander(w *world) *bystander {
	p := w.hello(`{"auth":"bystander"}`, nil)
	b := &bystander{p: p, id: 1, answers: make(chan string, 64), news: make(chan string, 64), over: make(chan struct{})}
	w.peers = w.peers[:len(w.peers)-1] // it stays to the end
	p.SetDeadline(time.Time{})
	go b.read()
	p.lines("s 1 bystander/news")
	b.want(w, b.answers, "r 1")
	return b
}

// read takes what comes, acknowledges it and answers pings.
func (b *bystander) read() {
	defer close(b.over)
	counted := 0
	for {
		op, payload, err := b.p.next()
		if err != nil || op == opClose {
			return
		}
		if op != opText {
			continue
		}
		for l := range strings.Lines(string(payload)) {
			switch l = strings.TrimSuffix(l, "\n"); {
			case l == "p":
				b.p.lines(fmt.Sprint("a ", counted))
			case strings.HasPrefix(l, "r ") || strings.HasPrefix(l, "e "):
				counted++
				b.answers <- l
			case strings.HasPrefix(l, "b ") || strings.HasPrefix(l, "m "):
				counted++
				if strings.HasPrefix(l, "b bystander/news ") {
					b.news <- l
				}
			}
			if counted%16 == 15 {
				b.p.lines(fmt.Sprint("a ", counted))
			}
		}
	}
}

func (b *bystander) served(w *world) {
	w.t.Helper()
	b.id += 2
	b.p.lines(fmt.Sprintf(`c %d echo {"n":%d}`, b.id, b.id))
	b.want(w, b.answers, fmt.Sprintf(`r %d {"n":%d}`, b.id, b.id))
	if err := w.app.Publish("bystander/news", b.id); err != nil {
		w.t.Errorf("publish: %v", err)
	}
	b.want(w, b.news, fmt.Sprintf(`b bystander/news %d`, b.id))
}

func (b *bystander) want(w *world, from <-chan string, want string) {
	w.t.Helper()
	timeout := time.NewTimer(w.guard)
	defer timeout.Stop()
	select {
	case got := <-from:
		if got != want {
			w.t.Errorf("the bystander got %q, want %q", got, want)
		}
	case <-b.over:
		w.t.Fatalf("the bystander has lost its connection waiting for %q", want)
	case <-timeout.C:
		w.t.Fatalf("the bystander waits in vain for %q", want)
	}
}

func (b *bystander) close() {
	b.p.Close()
	<-b.over
}

// heap is the number of bytes in use behind a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC() // pools lose their content at the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// bounded fails when the heap has grown by more than limit since before.
func bounded(t testing.TB, before, limit int64) {
	t.Helper()
	if grown := heap() - before; grown > limit {
		t.Errorf("the heap has grown by %d KiB, want at most %d", grown>>10, limit>>10)
	}
}

// connectGate is an OnConnect that lets the first client, the bystander, in and
// makes all others wait until let is closed.
func connectGate(first *bool, let *chan struct{}, refuse bool) func(context.Context, *ape.Client, *http.Request) (context.Context, error) {
	return func(ctx context.Context, _ *ape.Client, _ *http.Request) (context.Context, error) {
		if *first {
			*first = false
			return nil, nil
		}
		select {
		case <-*let:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if refuse {
			return nil, ape.Errorf(ape.Denied, "not you")
		}
		return nil, nil
	}
}
