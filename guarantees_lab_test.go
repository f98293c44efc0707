package ape_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/goape/ape"
	"github.com/goape/ape/apetest"
)

// lab is a server and a Go client, with a network between them that can fail.
// What runs at either end stops in its middle until the gate is opened.
type lab struct {
	t         *testing.T
	app       *ape.Server
	current   atomic.Pointer[ape.Server] // app, or its successor
	net       *apetest.Server
	conn      *ape.Conn
	client    *ape.Client
	over      ape.Transport // "": both
	noSockets atomic.Bool   // WebSocket is blocked

	ctx    context.Context // of the operation's caller
	cancel context.CancelFunc
	opts   []ape.CallOption

	open   sync.Once
	gate   chan struct{}
	runs   atomic.Int64
	inside atomic.Int64 // handlers and iterators that heed their contexts, and are under way

	mu     sync.Mutex
	heard  []int // what events and messages brought, to either end
	states []ape.StateChange
}

// labHalf is where an operation stops, and labWhole how much it does.
const labHalf, labWhole = 50, 100

func newLab(t *testing.T, over ape.Transport) *lab {
	t.Helper()
	l := &lab{t: t, over: over, gate: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(t.Context())
	l.app = l.serve()
	l.current.Store(l.app)
	l.net = apetest.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.noSockets.Load() && r.Header.Get("Upgrade") != "" {
			http.Error(w, "blocked", http.StatusBadRequest)
			return
		}
		l.current.Load().ServeHTTP(w, r)
	}))
	l.conn = l.net.Dial(t, &ape.DialOptions{
		Transport: over, Timeout: -1, Handlers: l.paths(), Logger: labLogger,
		Auth: func(context.Context) (any, error) { return "ann", nil },
		OnState: func(s ape.StateChange) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.states = append(l.states, s)
		},
	})
	l.client = l.app.Client(l.conn.ID())
	t.Cleanup(func() {
		l.release()
		l.cancel()
	})
	return l
}

var labLogger = slog.New(slog.NewTextHandler(io.Discard, nil))

// serve makes a server, which ends with the test.
func (l *lab) serve() *ape.Server {
	app := ape.New(&ape.Options{Timeout: -1, Logger: labLogger})
	for path, h := range l.paths() {
		app.Handle(path, h)
	}
	l.t.Cleanup(func() {
		l.release()
		stop(l.t, app)
	})
	return app
}

// paths are what both ends can be called for.
func (l *lab) paths() map[string]ape.Controller {
	paths := map[string]ape.Controller{
		"run": ape.Get(func(context.Context) (int64, error) {
			n := l.runs.Add(1)
			<-l.gate // whatever becomes of the context
			return n, nil
		}),
		"heed": ape.Get(func(ctx context.Context) (int64, error) {
			n := l.runs.Add(1)
			return n, l.pass(ctx)
		}),
		"count": ape.Stream(func(ctx context.Context, _ struct{}) iter.Seq2[int, error] { return l.numbers(ctx) }),
		"collect": ape.Collect(func(_ context.Context, items iter.Seq2[int, error]) (string, error) {
			l.inside.Add(1)
			defer l.inside.Add(-1)
			got, err := labDrain(items)
			return labSpans(got), err
		}),
		"note": ape.Serial(ape.Do(func(_ context.Context, n int) error {
			l.hear(n)
			return nil
		})),
	}
	maps.Copy(paths, l.breaks())
	return paths
}

// release opens the gate.
func (l *lab) release() { l.open.Do(func() { close(l.gate) }) }

func (l *lab) pass(ctx context.Context) error {
	l.inside.Add(1)
	defer l.inside.Add(-1)
	select {
	case <-l.gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// numbers are 1 to labWhole, with the gate in their middle.
func (l *lab) numbers(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		l.inside.Add(1)
		defer l.inside.Add(-1)
		for n := 1; n <= labWhole; n++ {
			if n == labHalf+1 {
				if err := l.pass(ctx); err != nil {
					yield(0, err)
					return
				}
			}
			if !yield(n, nil) {
				return
			}
		}
	}
}

func (l *lab) hear(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, n)
}

func (l *lab) all() string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return labSpans(l.heard)
}

// last is the newest state.
func (l *lab) last() ape.StateChange {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.states[len(l.states)-1]
}

func labDrain(items iter.Seq2[int, error]) (got []int, err error) {
	for n, err := range items {
		if err != nil {
			return got, err
		}
		got = append(got, n)
	}
	return got, nil
}

// labSpans writes runs of rising numbers as "1-50 52-100".
func labSpans(list []int) string {
	var b strings.Builder
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if fmt.Fprintf(&b, " %d", list[i]); j > i {
			fmt.Fprintf(&b, "-%d", list[j])
		}
		i = j + 1
	}
	return strings.TrimSpace(b.String())
}
