package ape_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
)

// counter is a stream of numbers, as many as it is asked for; below 0 without
// end.
type counter struct {
	yielded, running atomic.Int64
	left             atomic.Int64 // streams whose reader has left
}

func (k *counter) stream() ape.Controller {
	return ape.Stream(func(_ context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			k.running.Add(1)
			defer k.running.Add(-1)
			for i := 1; n < 0 || i <= n; i++ {
				k.yielded.Add(1)
				if !yield(i, nil) {
					k.left.Add(1)
					return
				}
			}
		}
	})
}

func TestAStreamYieldsNoMoreThanItsReaderTakes(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var k counter
		s.app.Handle("count", k.stream())
		p := s.pen(w, "")
		p.write("c 1 count;g=0 5")
		p.none()
		want(t, k.yielded.Load(), 1) // which waits
		p.asks("g 1 1", "n 1 1")
		p.none()
		want(t, k.yielded.Load(), 2)
		p.asks("g 1 2", "n 1 2", "n 1 3")
		p.none()
		p.asks("g 1 0")
		p.none()
		p.asks("g 1 2", "n 1 4", "n 1 5", "z 1")
		p.asks("c 3 count;g=2 2", "n 3 1", "n 3 2", "z 3")
		p.asks("c 5 count;g=0 0", "z 5")
		p.asks("c 7 count;g=9007199254740991 3", "n 7 1", "n 7 2", "n 7 3", "z 7")
		p.asks("c 9 count;g=1 2", "n 9 1")
		p.asks(strings.Repeat("g 9 9007199254740991\n", 5)+"m nothing", "n 9 2", "z 9")
		p.write("g 1 5", "g 9 5", "n 9 1", "z 9", "x 9")
		p.none()
		want(t, k.running.Load(), 0)
	})
}

func TestCreditAddsUpAndNeverOverflows(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		free := make(chan struct{})
		s.app.Handle("later", ape.Stream(func(_ context.Context, n int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				<-free
				for i := 1; i <= n && yield(i, nil); i++ {
				}
			}
		}))
		p := s.pen(w, "")
		p.write("c 1 later;g=2 9", "g 1 1", "g 1 2", "c 3 later;g=0 9", strings.Repeat("g 3 9007199254740991\n", 2048)+"g 3 2048")
		free <- struct{}{} // of the one or the other
		free <- struct{}{}
		got := map[string]int{}
		for synctest.Wait(); p.more(); {
			got[p.next()[:3]]++
		}
		want(t, got, map[string]int{"n 1": 5, "n 3": 9, "z 3": 1})
	})
}

func TestHowAStreamEnds(t *testing.T) {
	for name, x := range map[string]struct {
		seq   func(yield func(int, error) bool)
		lines []string
	}{
		"by itself":       {func(yield func(int, error) bool) { yield(1, nil) }, []string{"n 1 1", "z 1"}},
		"at once":         {func(yield func(int, error) bool) {}, []string{"z 1"}},
		"with its word":   {func(yield func(int, error) bool) { yield(1, nil); yield(2, ape.Errorf(ape.Denied, "no more")) }, []string{"n 1 1", "e 1 denied"}},
		"with an error":   {func(yield func(int, error) bool) { yield(1, errors.New("secret")) }, []string{"e 1 internal"}},
		"in a panic":      {func(yield func(int, error) bool) { yield(1, nil); panic("ouch") }, []string{"n 1 1", "e 1 internal"}},
		"with its thread": {func(yield func(int, error) bool) { yield(1, nil); runtime.Goexit() }, []string{"n 1 1", "e 1 internal"}},
	} {
		t.Run(name, func(t *testing.T) {
			eachLine(t, func(t *testing.T, w way) {
				s := newSite(t, nil)
				s.app.Handle("stream", ape.Stream(func(context.Context, any) iter.Seq2[int, error] { return x.seq }))
				s.app.Handle("duplex", ape.Duplex(func(context.Context, iter.Seq2[int, error]) iter.Seq2[int, error] { return x.seq }))
				p := s.pen(w, "")
				p.asks("c 1 stream;g=9", x.lines...)
				p.write("c 3 duplex;g=9;i")
				for _, line := range x.lines {
					p.wants(strings.Replace(line, " 1", " 3", 1))
				}
				p.none()
			})
		})
	}
}

func TestAStreamNeedsAReaderOfStreams(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var k counter
		s.app.Handle("count", k.stream())
		s.app.Handle("plain", ape.Get(func(context.Context) (int, error) { return 7, nil }))
		s.app.Handle("none", ape.Do(func(context.Context, any) error { return nil }))
		s.app.Handle("by hand", ape.ControllerFunc(func(_ context.Context, c *ape.Call) (any, error) {
			if err := c.Emit(1); err != nil {
				return nil, err
			}
			return 2, c.Emit(make(chan int)) // cannot be encoded, and says so
		}))
		s.app.Handle("value behind items", ape.ControllerFunc(func(_ context.Context, c *ape.Call) (any, error) {
			return "last", c.Emit("first")
		}))
		p := s.pen(w, `"limits":{"line":1500}`)
		p.asks("c 1 count 1", "e 1 invalid")
		p.asks("c 3 count;i", "e 3 invalid")
		p.asks("c 5 count;g=5 \"x\"", "e 5 invalid")
		want(t, k.yielded.Load(), 0)
		// One answer is a stream of one.
		p.asks("c 7 plain;g=0", "r 7 7")
		p.asks("c 9 none;g=0", "z 9")
		p.asks("c 11 nowhere;g=5", "e 11 not_found")
		p.asks("c 13 by%20hand;g=5", "n 13 1", "e 13 internal")
		p.asks("c 15 by%20hand", "e 15 invalid")
		p.asks("c 17 value%20behind%20items;g=5", `n 17 "first"`, `r 17 "last"`)
		p.asks("c 19 count;g 1", "e 19 malformed")
		p.asks("c 21 count;g=-1 1", "e 21 malformed")
		p.write("m count 3") // an event gets no answer
		p.none()
		want(t, k.yielded.Load(), 0)
	})
}

func TestItemsAreEncodedLikeResults(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("all", ape.ControllerFunc(func(_ context.Context, c *ape.Call) (any, error) {
			for _, v := range []any{nil, codec.Undefined, []byte{1}, time.UnixMilli(5), point{X: 1}} {
				if err := c.Emit(v); err != nil {
					return nil, err
				}
			}
			if err := c.Emit(strings.Repeat("x", 3000)); ape.CodeOf(err) != ape.TooLarge {
				t.Errorf("a long item: %v", err)
			}
			return codec.Undefined, c.Emit("after it")
		}))
		p := s.pen(w, `"limits":{"line":2000}`)
		bytes := "n 1 =AQ=="
		if w == lineSocket {
			bytes = "n 1 =1 + 01"
		}
		p.asks("c 1 all;g=9", "n 1 null", "n 1", bytes, `n 1 {"<!D>":5}`, `n 1 {"x":1}`, `n 1 "after it"`, "z 1")
	})
}

func TestLeavingAStreamEndsItsProducer(t *testing.T) {
	ends := map[string]func(p *pen, s *site){
		"x":                func(p *pen, _ *site) { p.asks("x 1", "e 1 cancelled") },
		"bye":              func(p *pen, _ *site) { p.leave() },
		"closed":           func(p *pen, _ *site) { p.client().Close(ape.CloseKicked, "") },
		"never came back":  func(p *pen, _ *site) { p.cut(); time.Sleep(61 * time.Second) },
		"an item for it":   func(p *pen, _ *site) { p.asks("n 1 5", "e 1 credit") },
		"too long an item": func(p *pen, _ *site) { p.asks(`n 1 "`+strings.Repeat("x", 70<<10)+`"`, "e 1 too_large") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			eachLine(t, func(t *testing.T, w way) {
				s := newSite(t, &ape.Options{MaxMessage: 64 << 10})
				var k counter
				s.app.Handle("count", k.stream())
				ctxs := make(chan context.Context, 1)
				s.app.Handle("silent", ape.Stream(func(ctx context.Context, _ any) iter.Seq2[int, error] {
					return func(func(int, error) bool) {
						ctxs <- ctx
						<-ctx.Done()
					}
				}))
				p := s.pen(w, "")
				p.asks("c 1 count;g=2 -1", "n 1 1", "n 1 2")
				synctest.Wait()
				want(t, k.running.Load(), 1)
				end(p, s)
				synctest.Wait()
				want(t, k.running.Load(), 0)
				want(t, k.left.Load(), 1)
				if name != "x" {
					return
				}
				p.write("c 3 silent;g=1")
				silent := <-ctxs
				p.asks("x 3", "z 3")
				want(t, silent.Err(), context.Canceled)
			})
		})
	}
}

func TestAStreamHasNoDeadlineButItsCallers(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{Timeout: time.Second})
		var k counter
		s.app.Handle("count", k.stream())
		p := s.pen(w, "")
		p.asks("c 1 count;g=1 -1", "n 1 1")
		p.asks("c 3 count;g=1;t=5000 -1", "n 3 1")
		begin := time.Now()
		p.wants("e 3 deadline")
		want(t, time.Since(begin), 5*time.Second)
		time.Sleep(time.Hour)
		p.asks("g 1 1", "n 1 2")
		want(t, k.running.Load(), 1)
		p.asks("x 1", "e 1 cancelled")
	})
}

func TestAStreamGoesOnOverAnotherConnection(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var k counter
		s.app.Handle("count", k.stream())
		p := s.pen(w, "")
		p.asks("c 1 count;g=3 12", "n 1 1", "n 1 2", "n 1 3")
		p.cut()
		p.connect(w.other())
		p.asks("g 1 2", "n 1 4", "n 1 5")
		p.stop()
		p.write("g 1 3") // three items that are written and lost
		synctest.Wait()
		p.state.Lock()
		p.link = &link{raw: p.link.raw, ws: p.link.ws, cancel: p.link.cancel, done: p.link.done}
		p.state.Unlock()
		p.cut()
		p.connect(w)
		p.wants("n 1 6", "n 1 7", "n 1 8")
		p.asks("g 1 9", "n 1 9", "n 1 10", "n 1 11", "n 1 12", "z 1")
		want(t, k.yielded.Load(), 12)
	})
}

func TestRegisteredMethodsMayStream(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Register("logs", logs{})
		p := s.pen(w, "")
		p.asks(`c 1 logs/tail;g=9 {"x":2}`, `n 1 "line 1"`, `n 1 "line 2"`, "z 1")
		p.asks("c 3 logs/all;g=9", "n 3 1", "e 3 exists")
		p.asks("c 5 logs/named;g=9 3", "n 5 3", "z 5")
		p.asks("c 7 logs/all", "e 7 invalid")
		p.asks("c 9 logs/tail;g=9 5", "e 9 invalid")
	})
}

type logs struct{}

func (logs) Tail(_ context.Context, p point) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := 1; i <= p.X && yield(fmt.Sprint("line ", i), nil); i++ {
		}
	}
}

func (logs) All(context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) { _ = yield(1, nil) && yield(0, ape.Errorf(ape.Exists, "no")) }
}

func (logs) Named(_ context.Context, n int) named {
	return func(yield func(int, error) bool) { yield(n, nil) }
}

type named func(func(int, error) bool)

func TestStreamsWrittenWronglyPanicWithTheMend(t *testing.T) {
	type seq = iter.Seq2[int, error]
	for name, x := range map[string]struct {
		c    ape.Controller
		mend string
	}{
		"Stream of nil":     {ape.Stream[int, int](nil), "nil func"},
		"Collect of nil":    {ape.Collect[int, int](nil), "nil func"},
		"Duplex of nil":     {ape.Duplex[int, int](nil), "nil func"},
		"Func of items":     {ape.Func(func(context.Context, seq) (int, error) { return 0, nil }), "use Collect (one result) or Duplex (a stream)"},
		"Do of items":       {ape.Do(func(context.Context, seq) error { return nil }), "use Collect"},
		"Stream of items":   {ape.Stream(func(context.Context, seq) iter.Seq2[int, error] { return nil }), "Duplex"},
		"Func of a channel": {ape.Func(func(context.Context, chan int) (int, error) { return 0, nil }), "no client can send"},
		"Collect of funcs":  {ape.Collect(func(context.Context, iter.Seq2[func(), error]) (int, error) { return 0, nil }), "no client can send"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				p := fmt.Sprint(recover())
				if !strings.Contains(p, "the path") || !strings.Contains(p, x.mend) {
					t.Errorf("the panic is %q, want %q in it", p, x.mend)
				}
			}()
			ape.New(nil).Handle("the path", x.c)
		})
	}
}
