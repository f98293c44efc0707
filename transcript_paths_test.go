package ape_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/goape/ape"
)

// transcriptOptions are those that docs/protocol.md names.
func transcriptOptions() *ape.Options {
	return &ape.Options{
		MaxMessage: 4096, MaxCalls: 4, MaxQueue: 8192, DrainWindow: 1, StreamWindow: 2,
		Identify: func(_ *http.Request, auth json.RawMessage) (string, error) {
			if string(auth) == `"bad"` {
				return "", errors.New("bad")
			}
			return string(auth), nil
		},
		AuthorizeSubscribe: func(_ context.Context, _ *ape.Client, channel string) error {
			if len(channel) > 7 && channel[:7] == "secret/" {
				return ape.Errorf(ape.Denied, "not for you")
			}
			return nil
		},
	}
}

type news struct {
	Channel string `json:"channel"`
	Value   any    `json:"value"`
}

// transcriptPaths registers the paths that docs/protocol.md names.
func transcriptPaths(app *ape.Server) {
	var total atomic.Int64
	echo := ape.Func(func(_ context.Context, in any) (any, error) { return in, nil })
	app.Handle("echo", echo)
	app.Handle("say hi; 100%", echo)
	app.Handle("fail", ape.Func(func(_ context.Context, in struct{ ID int }) (any, error) {
		return nil, &ape.Error{Code: ape.NotFound, Message: "no user 9", Data: map[string]int{"id": in.ID}}
	}))
	app.Handle("wait", ape.Get(func(ctx context.Context) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	app.Handle("count", ape.Stream(func(_ context.Context, in struct{ N int }) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := 1; i <= in.N && yield(i, nil); i++ {
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
	app.Handle("double", ape.Duplex(func(_ context.Context, items iter.Seq2[int, error]) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for n, err := range items {
				if !yield(2*n, err) {
					return
				}
			}
		}
	}))
	app.Handle("ask", ape.Func(func(ctx context.Context, in any) (any, error) {
		answer, err := ape.Invoke[any](ctx, ape.From(ctx).Client(), "confirm", in, ape.Timeout(0))
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, ape.Errorf(ape.Failed, "the client would not say: %v", err)
		}
		return answer, nil
	}))
	app.Handle("late", ape.Func(func(ctx context.Context, in any) (any, error) {
		return ape.Invoke[any](context.WithoutCancel(ctx), ape.From(ctx).Client(), "confirm", in, ape.Timeout(0))
	}))
	app.Handle("emit", ape.Func(func(ctx context.Context, in struct{ N int }) (any, error) {
		for i := range in.N {
			ape.From(ctx).Client().Send("tick", i+1)
		}
		return nil, nil
	}))
	// Both in one lane: what comes first is added first.
	adder := ape.Serial(ape.ControllerFunc(func(_ context.Context, c *ape.Call) (any, error) {
		n := int64(1)
		if c.Path() == "add" {
			if err := c.Decode(&n); err != nil {
				return nil, err
			}
		}
		return total.Add(n), nil
	}))
	app.Handle("add", adder)
	app.Handle("bump", adder)
	app.Handle("bytes", ape.Get(func(context.Context) ([]byte, error) { return []byte{0, 1, 2}, nil }))
	app.Handle("size", ape.Func(func(_ context.Context, b []byte) (int, error) { return len(b), nil }))
	app.Handle("publish", ape.Func(func(ctx context.Context, in news) (any, error) {
		return nil, ape.From(ctx).Publish(in.Channel, in.Value)
	}))
	app.Handle("leave", ape.Func(func(ctx context.Context, in news) (any, error) {
		ape.From(ctx).Client().Unsubscribe(in.Channel)
		return nil, nil
	}))
	app.Handle("restart", ape.Get(func(ctx context.Context) (any, error) {
		client := ape.From(ctx).Client()
		context.AfterFunc(ctx, func() { client.Reconnect(5 * time.Second) })
		return nil, nil
	}))
	app.Handle("kick", ape.Get(func(ctx context.Context) (any, error) {
		client := ape.From(ctx).Client()
		context.AfterFunc(ctx, func() { client.Close(ape.CloseKicked, "") })
		return nil, nil
	}))
}
