package ape_test

import (
	"context"
	"iter"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/goape/ape"
)

func TestDialSmoke(t *testing.T) {
	for _, transport := range []ape.Transport{ape.WebSocket, ape.Streaming, ""} {
		t.Run(string(transport), func(t *testing.T) {
			app := ape.New(nil)
			app.Handle("echo", ape.Func(func(_ context.Context, in string) (string, error) { return in, nil }))
			app.Handle("count", ape.Stream(func(_ context.Context, n int) iter.Seq2[int, error] {
				return func(yield func(int, error) bool) {
					for i := range n {
						if !yield(i, nil) {
							return
						}
					}
				}
			}))
			app.Handle("sum", ape.Collect(func(_ context.Context, items iter.Seq2[int, error]) (sum int, _ error) {
				for n, err := range items {
					if err != nil {
						return 0, err
					}
					sum += n
				}
				return sum, nil
			}))
			app.Handle("ask", ape.Func(func(ctx context.Context, q string) (string, error) {
				return ape.Invoke[string](ctx, ape.From(ctx).Client(), "confirm", q)
			}))
			srv := httptest.NewServer(app)
			defer srv.Close()
			defer stop(t, app)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			c, err := ape.Dial(ctx, srv.URL+"/api/ape", &ape.DialOptions{Transport: transport, OnState: func(s ape.StateChange) { t.Logf("%+v", s) }, Handlers: map[string]ape.Controller{
				"confirm": ape.Func(func(_ context.Context, q string) (string, error) { return q + "!", nil }),
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got, err := ape.Invoke[string](ctx, c, "echo", "hi"); err != nil || got != "hi" {
				t.Error(got, err)
			}
			if got, err := ape.Invoke[string](ctx, c, "ask", "hi"); err != nil || got != "hi!" {
				t.Error(got, err)
			}
			n := 0
			for i, err := range ape.InvokeStream[int](ctx, c, "count", 1000) {
				if err != nil || i != n {
					t.Fatal(i, n, err)
				}
				n++
			}
			if n != 1000 {
				t.Error(n)
			}
			seq := iter.Seq2[int, error](func(yield func(int, error) bool) {
				for i := range 1000 {
					if !yield(i, nil) {
						return
					}
				}
			})
			if got, err := ape.Invoke[int](ctx, c, "sum", seq); err != nil || got != 499500 {
				t.Error(got, err)
			}
			app.Publish("news", 0)
			got := 0
			for v, err := range ape.Subscribe[int](ctx, c, "news") {
				if err != nil {
					t.Fatal(err)
				}
				_ = v
				if got++; got == 3 {
					break
				}
				app.Publish("news", got)
			}
			_ = got
		})
	}
}
