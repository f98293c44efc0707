package ape_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
)

type point struct {
	X int `json:"x"`
	Y int `json:"y,omitempty"`
}

func TestEveryAdapterAnswers(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("func", ape.Func(func(_ context.Context, p point) (point, error) { return point{p.Y, p.X}, nil }))
		done := ""
		s.app.Handle("do", ape.Do(func(_ context.Context, text string) error { done = text; return nil }))
		s.app.Handle("get", ape.Get(func(context.Context) ([]string, error) { return []string{"a"}, nil }))
		s.app.Handle("any", ape.Func(func(_ context.Context, _ struct{}) (string, error) { return "took it", nil }))
		s.app.Handle("raw", ape.ControllerFunc(func(_ context.Context, c *ape.Call) (any, error) {
			var n int
			err := c.Decode(&n)
			return fmt.Sprint(c.Path(), n), err
		}))
		u := s.join(w)
		for _, c := range []struct{ path, payload, want string }{
			{"func", `{"x":1,"y":2}`, `{"x":2,"y":1}`},
			{"func", ``, `{"x":0}`},
			{"do", `"done"`, `undefined`},
			{"get", ``, `["a"]`},
			{"get", `{"what":"ever"}`, `["a"]`},
			{"any", ``, `"took it"`},
			{"any", `[1,{"<!D>":5}]`, `"took it"`},
			{"raw", `7`, `"raw7"`},
		} {
			want(t, u.call(c.path, c.payload), c.want)
		}
		want(t, done, "done")
	})
}

func TestResultsArriveAsTheyAre(t *testing.T) {
	results := map[string]any{
		"null": nil, "zero": 0, "empty": "", "false": false, "undefined": codec.Undefined,
		"bytes": []byte{0, 1, 2}, "no bytes": []byte{}, "time": time.UnixMilli(7), "struct": point{X: 1},
		"nested":  map[string]any{"at": time.UnixMilli(5), "list": []any{1, codec.Undefined}},
		"pointer": &point{X: 3}, "nil pointer": (*point)(nil), "text": "a<!b\n\u2028\"", "map": codec.Map{"a": 1},
		"bytes in a struct": struct{ B []byte }{[]byte{1}},
	}
	wants := map[string]string{
		"null": `null`, "zero": `0`, "empty": `""`, "false": `false`, "undefined": `undefined`,
		"bytes": `{"<!I>":"AAEC"}`, "no bytes": `{"<!I>":""}`, "time": `{"<!D>":7}`, "struct": `{"x":1}`,
		"nested":  `{"at<!D>":5,"list<![,U]>":[1,null]}`,
		"pointer": `{"x":3}`, "nil pointer": `null`, "text": `"a<!b\n\u2028\""`, "map": `{"<!M>":{"a":1}}`,
		"bytes in a struct": `{"B<!I>":"AQ=="}`,
	}
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("give", ape.Func(func(_ context.Context, name string) (any, error) { return results[name], nil }))
		u := s.join(w)
		for name, text := range wants {
			got := u.call("give", `"`+name+`"`).String()
			if got != text {
				t.Errorf("%s: got %s, want %s", name, got, text)
			}
		}
	})
}

func TestArgumentsArriveAsTheyAre(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var got any
		s.app.Handle("any", ape.Do(func(_ context.Context, in any) error { got = in; return nil }))
		s.app.Handle("time", ape.Do(func(_ context.Context, in time.Time) error { got = in.UnixMilli(); return nil }))
		s.app.Handle("bytes", ape.Do(func(_ context.Context, in []byte) error { got = in; return nil }))
		s.app.Handle("struct", ape.Do(func(_ context.Context, in struct {
			When time.Time
			B    []byte
		}) error {
			got = fmt.Sprint(in.When.UnixMilli(), in.B)
			return nil
		}))
		u := s.join(w)
		for _, c := range []struct {
			path, payload string
			want          any
		}{
			{"any", ``, codec.Undefined},
			{"any", `null`, nil},
			{"any", `[1,"a"]`, []any{1.0, "a"}},
			{"any", `{"<!D>":7}`, time.UnixMilli(7).UTC()},
			{"any", `=AAEC`, []byte{0, 1, 2}},
			{"time", `{"<!D>":7}`, 7},
			{"time", `"1970-01-01T00:00:00.007Z"`, 7},
			{"bytes", `=AAEC`, []byte{0, 1, 2}},
			{"struct", `{"when<!D>":5,"b<!I>":"AQI="}`, "5 [1 2]"},
		} {
			got = "not called"
			if r := u.call(c.path, c.payload); r.code != "" {
				t.Errorf("%s %s: %v", c.path, c.payload, r)
			}
			want(t, got, c.want)
		}
	})
}

func TestSerialKeepsTheOrderOfManyCalls(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxRunning: 2})
		var got []int
		var running int
		lane := ape.Serial(ape.Do(func(_ context.Context, n int) error {
			if running++; running > 1 {
				t.Error("two calls of a lane run at once")
			}
			time.Sleep(time.Duration(50-n) * time.Millisecond)
			got = append(got, n)
			running--
			return nil
		}))
		s.app.Handle("a", lane)
		s.app.Handle("b", lane)
		u := s.join(w)
		var answers []<-chan result
		var wanted []int
		for i := range 50 {
			answers = append(answers, beginInOrder(u, []string{"a", "b"}[i%2], fmt.Sprint(i)))
			wanted = append(wanted, i)
		}
		for _, a := range answers {
			<-a
		}
		want(t, got, wanted)
	})
}

func TestSerialHoldsUpNobodyElse(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		free := make(chan struct{})
		s.app.Handle("slow", ape.Serial(ape.Get(func(context.Context) (int, error) { <-free; return 1, nil })))
		s.app.Handle("fast", ape.Get(func(context.Context) (int, error) { return 2, nil }))
		u, other := s.join(w), s.join(w)
		var answers []<-chan result
		for range 40 {
			answers = append(answers, beginInOrder(u, "slow", ""))
		}
		want(t, u.call("fast", ""), "2")
		b := beginInOrder(other, "slow", "")
		want(t, other.call("fast", ""), "2")
		close(free)
		for _, a := range append(answers, b) {
			want(t, <-a, "1")
		}
	})
}

func TestSerialWrappedByHandSaysSo(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		inner := ape.Serial(ape.Get(func(context.Context) (int, error) { return 1, nil }))
		s.app.Handle("wrapped", ape.ControllerFunc(func(ctx context.Context, c *ape.Call) (any, error) { return inner.Serve(ctx, c) }))
		want(t, s.join(w).call("wrapped", "").code, ape.Internal)
		if !strings.Contains(s.log.String(), "Serial must be what is handed to Handle") {
			t.Errorf("the log does not say what to do: %s", s.log)
		}
	}, lineSocket)
}

func TestFromFindsTheCallAndItsClient(t *testing.T) {
	if ape.From(context.Background()) != nil {
		t.Error("From outside of a call is not nil")
	}
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{SessionCookie: "login"})
		s.app.Handle("who/*", ape.Get(func(ctx context.Context) (any, error) {
			ctx = context.WithValue(ctx, point{}, 1)
			c := ape.From(ctx)
			r := c.Request()
			if r.Body != nil {
				if b := make([]byte, 1); true {
					if n, _ := r.Body.Read(b); n > 0 {
						return nil, errors.New("the request has a body")
					}
				}
			}
			if r.Context() != context.Background() {
				return nil, errors.New("the request has its context")
			}
			return []any{c.Path(), c.Client().ID(), c.Server() == s.app, c.Client().SessionID(), r.Header.Get("X-Test"), string(c.Client().Transport()),
				c.Client().Dialect(), c.Client().Attached(), c.Client().Agent().OS()}, nil
		}))
		u := s.joinAs(w, browser{header: map[string][]string{"Cookie": {"login=ann"}, "X-Test": {"yes"},
			"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"}}})
		want(t, u.call("who/am/i", ""), fmt.Sprintf(`["who/am/i",%q,true,"ann","yes",%q,%q,true,"Linux x86_64"]`, u.id(), w.transport, w.dialect))
	})
}

// beginInOrder begins a call that comes behind all those begun before it, over
// POSTs too.
func beginInOrder(u user, path, payload string) <-chan result {
	c := u.begin(path, payload)
	u.seen() // waits until everything stands still
	return c
}
