package ape_test

import (
	"context"
	"fmt"
	"iter"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape"
)

// dialBench serves an app over loopback TCP and dials it.
func dialBench(b *testing.B, transport ape.Transport) (*ape.Server, *ape.Conn) {
	b.Helper()
	app := ape.New(&ape.Options{Rate: ape.Rate{PerSecond: -1}})
	for path, h := range benchHandlers() {
		app.Handle(path, h)
	}
	srv := httptest.NewServer(app)
	c, err := ape.Dial(b.Context(), srv.URL+"/api/ape", &ape.DialOptions{Transport: transport, Handlers: benchHandlers()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		c.Close()
		stopBench(b, app)
		srv.Close()
	})
	return app, c
}

type benchIn struct {
	N    int
	Text string
}

func benchHandlers() map[string]ape.Controller {
	return map[string]ape.Controller{
		"echo": ape.Func(func(_ context.Context, in benchIn) (benchIn, error) { return in, nil }),
		"count": ape.Stream(func(_ context.Context, n int) iter.Seq2[benchIn, error] {
			return func(yield func(benchIn, error) bool) {
				for i := range n {
					if !yield(benchIn{i, "some text"}, nil) {
						return
					}
				}
			}
		}),
		"drain": ape.Collect(func(_ context.Context, items iter.Seq2[benchIn, error]) (n int, _ error) {
			for _, err := range items {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		}),
	}
}

var benchTransports = []ape.Transport{ape.WebSocket, ape.Streaming}

func BenchmarkConnInvoke(b *testing.B) {
	for _, transport := range benchTransports {
		for _, flight := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/x%d", transport, flight), func(b *testing.B) {
				_, c := dialBench(b, transport)
				benchInvoke(b, c, flight)
			})
		}
	}
}

func BenchmarkServerInvoke(b *testing.B) {
	for _, transport := range benchTransports {
		for _, flight := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/x%d", transport, flight), func(b *testing.B) {
				app, c := dialBench(b, transport)
				benchInvoke(b, app.Client(c.ID()), flight)
			})
		}
	}
}

// benchInvoke calls echo, so many calls at a time.
func benchInvoke(b *testing.B, to ape.Target, flight int) {
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for k := range flight {
		all.Go(func() {
			for i := k; i < b.N; i += flight {
				out, err := ape.Invoke[benchIn](b.Context(), to, "echo", benchIn{i, "some text"})
				if err != nil || out.N != i {
					b.Errorf("%d: %v", out.N, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// One item is one op.
func BenchmarkConnStreamDown(b *testing.B) {
	for _, transport := range benchTransports {
		b.Run(string(transport), func(b *testing.B) {
			_, c := dialBench(b, transport)
			b.ReportAllocs()
			b.ResetTimer()
			n := 0
			for in, err := range ape.InvokeStream[benchIn](b.Context(), c, "count", b.N) {
				if err != nil || in.N != n {
					b.Fatal(in.N, n, err)
				}
				n++
			}
			if n != b.N {
				b.Fatalf("%d of %d items", n, b.N)
			}
		})
	}
}

func BenchmarkConnStreamUp(b *testing.B) {
	for _, transport := range benchTransports {
		b.Run(string(transport), func(b *testing.B) {
			_, c := dialBench(b, transport)
			items := iter.Seq2[benchIn, error](func(yield func(benchIn, error) bool) {
				for i := range b.N {
					if !yield(benchIn{i, "some text"}, nil) {
						return
					}
				}
			})
			b.ReportAllocs()
			b.ResetTimer()
			n, err := ape.Invoke[int](b.Context(), c, "drain", items, ape.Timeout(0))
			if err != nil || n != b.N {
				b.Fatal(n, err)
			}
		})
	}
}

// BenchmarkConnResume cuts 1,000 clients at once; an op is all of them being back.
// They wait for up to half a second before they try, which counts.
func BenchmarkConnResume(b *testing.B) {
	app := ape.New(&ape.Options{Rate: ape.Rate{PerSecond: -1}})
	srv := httptest.NewServer(app)
	defer srv.Close()
	defer stopBench(b, app)
	var mu sync.Mutex
	var conns []net.Conn
	back := make(chan struct{}, 1000)
	o := &ape.DialOptions{
		Transport: ape.WebSocket,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				mu.Lock()
				conns = append(conns, c)
				mu.Unlock()
			}
			return c, err
		},
		OnState: func(s ape.StateChange) {
			if s.Resumed {
				back <- struct{}{}
			}
		},
	}
	clients := make([]*ape.Conn, 1000)
	for i := range clients {
		c, err := ape.Dial(b.Context(), srv.URL+"/api/ape", o)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		clients[i] = c
	}
	late := time.NewTimer(5 * time.Minute)
	defer late.Stop()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		mu.Lock()
		cut := conns
		conns = nil
		mu.Unlock()
		for _, c := range cut {
			c.Close()
		}
		for range clients {
			select {
			case <-back:
			case <-late.C:
				b.Fatal("they did not come back")
			}
		}
	}
}

func stopBench(b *testing.B, app *ape.Server) {
	if err := app.Shutdown(context.Background()); err != nil {
		b.Error(err)
	}
}
