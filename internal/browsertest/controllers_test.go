package browsertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
)

// rich holds every type that the codec knows.
type rich struct {
	At      time.Time      `json:"at"`
	Inner   inner          `json:"inner"`
	Days    []time.Time    `json:"days"`
	Weeks   [][]time.Time  `json:"weeks"`
	Tags    codec.Set      `json:"tags"`
	Table   codec.Map      `json:"table"`
	Pattern *regexp.Regexp `json:"pattern"`
	Holes   []any          `json:"holes"`
	Bytes   []byte         `json:"bytes"`
	Parts   [][]byte       `json:"parts"`
}

type inner struct {
	At time.Time `json:"at"`
}

func newRich() rich {
	at := time.UnixMilli
	return rich{
		At: at(1), Inner: inner{at(2)}, Days: []time.Time{at(3), at(4)},
		Weeks: [][]time.Time{{at(5), at(6)}, {at(7)}},
		Tags:  codec.Set{"a", 1}, Table: codec.Map{"x": 1, "y": "z"},
		Pattern: regexp.MustCompile("(?i)a+b"), Holes: []any{1, codec.Undefined, nil},
		Bytes: []byte{0, 1, 255}, Parts: [][]byte{{1}, {2, 3}},
	}
}

// richKind is what kind makes of it; bytes is the browser's type of them.
func richKind(bytes string) string {
	return strings.ReplaceAll(`{at:Date(1),bytes:BYTES(0,1,255),days:[Date(3),Date(4)],holes:[1,undefined,null],inner:{at:Date(2)},`+
		`parts:[BYTES(1),BYTES(2,3)],pattern:RegExp(/a+b/i),table:Map(["x",1],["y","z"]),tags:Set("a",1),weeks:[[Date(5),Date(6)],[Date(7)]]}`,
		"BYTES", bytes)
}

type publication struct {
	Channel string `json:"channel"`
	Value   any    `json:"value"`
}

// newServer makes a server with the paths that the tests call. cancelled, if
// not nil, hears of calls of wait that have ended.
func newServer(o ape.Options, cancelled chan<- error) *ape.Server {
	o.Logger = quiet
	app := ape.New(&o)
	handle := func(path string, f func(ctx context.Context, in any) (any, error)) { app.Handle(path, ape.Func(f)) }
	app.Handle("hello", ape.Func(func(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil }))
	app.Handle("users/list", ape.Func(func(_ context.Context, in struct{ Limit int }) (int, error) { return in.Limit, nil }))
	app.Handle("add", ape.Func(func(_ context.Context, in [2]int) (int, error) { return in[0] + in[1], nil }))
	app.Handle("void", ape.Do(func(context.Context, struct{}) error { return nil }))
	app.Handle("size", ape.Func(func(_ context.Context, in []byte) (int, error) { return len(in), nil }))
	app.Handle("who", ape.Get(func(ctx context.Context) (string, error) { return ape.From(ctx).Client().ID(), nil }))
	app.Handle("rich", ape.Get(func(context.Context) (rich, error) { return newRich(), nil }))
	app.Handle("bytes", ape.Get(func(context.Context) ([]byte, error) { return []byte{0, 1, 2}, nil }))
	app.Handle("secret", ape.Get(func(context.Context) (any, error) { return nil, errors.New("the password is 1234") }))
	app.Handle("user", ape.Func(func(_ context.Context, id int) (any, error) {
		return nil, &ape.Error{Code: ape.NotFound, Message: "no such user", Data: map[string]any{"id": id, "at": time.UnixMilli(5)}}
	}))
	app.Handle("publish", ape.Do(func(_ context.Context, in publication) error { return app.Publish(in.Channel, in.Value) }))
	app.Handle("others", ape.Do(func(ctx context.Context, text string) error { return ape.From(ctx).BroadcastOthers("text", text) }))
	app.Handle("raise", ape.Do(func(ctx context.Context, in json.RawMessage) error {
		return ape.From(ctx).Client().Send("raised", in)
	}))
	app.Handle("wait", ape.Do(func(ctx context.Context, _ struct{}) error {
		<-ctx.Done()
		if cancelled != nil {
			cancelled <- ctx.Err()
		}
		return ctx.Err()
	}))
	handle("echo", func(_ context.Context, in any) (any, error) { return in, nil })
	return app
}

// plain makes servers with the default options.
func plain() *ape.Server { return newServer(ape.Options{}, nil) }

// counter answers with its input, sends the caller an event with the next
// number, and tells calls of it.
func counter(calls chan<- int) ape.Controller {
	return ape.Func(func(ctx context.Context, n int) (int, error) {
		calls <- n
		return n, ape.From(ctx).Client().Send("tick", n+1)
	})
}
