package ape_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
)

// texts asks for so many texts of so many bytes.
type texts struct{ N, Size int }

func TestClassicClientsGetStreamsAsArrays(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var k counter
		s.app.Handle("count", k.stream())
		s.app.Handle("times", ape.Stream(func(context.Context, any) iter.Seq2[time.Time, error] {
			return func(yield func(time.Time, error) bool) {
				_ = yield(time.UnixMilli(5), nil) && yield(time.UnixMilli(6), nil)
			}
		}))
		s.app.Handle("fail", ape.Stream(func(context.Context, any) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) { _ = yield(1, nil) && yield(0, ape.Errorf(ape.Denied, "no more")) }
		}))
		s.app.Handle("ouch", ape.Stream(func(context.Context, any) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) { yield(1, nil); panic("ouch") }
		}))
		s.app.Handle("blocks", ape.Stream(func(context.Context, any) iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) {
				block := []byte{0}
				for ; block[0] < 3 && yield(block, nil); block[0]++ {
				}
			}
		}))
		s.app.Handle("sum", sum())
		s.app.Handle("join", ape.Collect(func(_ context.Context, items iter.Seq2[string, error]) (string, error) {
			all := []string{}
			for text, err := range items {
				if err != nil {
					return "", err
				}
				all = append(all, text)
			}
			return strings.Join(all, "+"), nil
		}))
		s.app.Handle("double", ape.Duplex(func(_ context.Context, items iter.Seq2[int, error]) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n, err := range items {
					if !yield(2*n, err) {
						return
					}
				}
			}
		}))
		s.app.Register("logs", logs{})
		u := s.join(w)
		want(t, u.call("count", "3"), "[1,2,3]")
		want(t, u.call("count", "1"), "[1]")
		want(t, u.call("count", "0"), "[]")
		want(t, u.call("count", `"x"`).code, ape.Invalid)
		want(t, u.call("times", ""), `{"<![D,D]>":[5,6]}`)
		want(t, u.call("blocks", ""), `{"<![I,I,I]>":["AA==","AQ==","Ag=="]}`)
		want(t, u.call("fail", ""), "denied: no more")
		want(t, u.call("ouch", "").code, ape.Internal)
		want(t, u.call("sum", "5"), "5")
		want(t, u.call("sum", ""), "0")
		want(t, u.call("sum", `"x"`).code, ape.Invalid)
		want(t, u.call("join", `"a"`), `"a"`)
		want(t, u.call("double", "4"), "[8]")
		want(t, u.call("double", ""), "[]")
		want(t, u.call("double", `"x"`).code, ape.Invalid)
		want(t, u.call("logs/tail", `{"x":2}`), `["line 1","line 2"]`)
	}, classicSocket, classicStream)
}

func TestAnArrayForAClassicClientHasALimit(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var yielded int
		s.app.Handle("texts", ape.Stream(func(_ context.Context, in texts) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for yielded = 1; yielded <= in.N && yield(strings.Repeat("x", in.Size), nil); yielded++ {
				}
			}
		}))
		s.app.Handle("endless", ape.Stream(func(context.Context, any) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for yield(1, nil) {
				}
			}
		}))
		s.app.Handle("strange", ape.Stream(func(context.Context, any) iter.Seq2[any, error] {
			return func(yield func(any, error) bool) { yield(make(chan int), nil) }
		}))
		u := s.join(w)
		want(t, len(u.call("texts", `{"n":10,"size":100000}`).value), 10*100_002+11)
		want(t, u.call("texts", `{"n":1000,"size":100000}`).code, ape.TooLarge)
		if yielded > 11 {
			t.Errorf("%d texts of 100 kB were yielded, above 1 MiB", yielded)
		}
		want(t, u.call("endless", "").code, ape.TooLarge)
		want(t, u.call("strange", "").code, ape.Internal)
		want(t, u.call("texts", `{"n":1,"size":1}`), `["x"]`)
	}, classicSocket, classicStream)
}

func TestManyGoroutinesMayEmit(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("emit", ape.ControllerFunc(func(_ context.Context, c *ape.Call) (any, error) {
			var group sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				group.Go(func() {
					for range 10 {
						errs[i] = errors.Join(errs[i], c.Emit(1))
					}
				})
			}
			group.Wait()
			return codec.Undefined, errors.Join(errs...)
		}))
		if w.classic() {
			want(t, s.join(w).call("emit", ""), "["+strings.TrimSuffix(strings.Repeat("1,", 80), ",")+"]")
			return
		}
		p := s.pen(w, "")
		p.write("c 1 emit;g=3")
		for i := range 80 {
			p.wants("n 1 1")
			if i%2 == 0 {
				p.write("g 1 2")
			}
		}
		p.wants("z 1")
	})
}

func TestAnEventToAStreamIsNoCall(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		errs := make(chan string, 4)
		s.app.Handle("emit", ape.ControllerFunc(func(_ context.Context, c *ape.Call) (any, error) {
			err := c.Emit(1)
			errs <- told(nil, err)
			errs <- fmt.Sprint(strings.Contains(err.Error(), "an event gets no answer"))
			for it, err := range c.Items() {
				var n int
				errs <- told(n, errors.Join(err, it.Decode(&n)))
				errs <- fmt.Sprint(n)
			}
			return nil, nil
		}))
		p := s.pen(w, "")
		p.write("m emit 7")
		want(t, await(errs), "invalid")
		want(t, await(errs), "true")
		want(t, await(errs), "7")
		want(t, await(errs), "7")
	})
}
