package ape_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
)

// streamed ranges over a stream of a client's on a goroutine of its own, and
// takes an item of it for each value that next gives.
func streamed[Out any](ctx context.Context, to ape.Target, in any, next <-chan bool, opts ...ape.CallOption) <-chan string {
	c := make(chan string, 100)
	go func() {
		defer close(c)
		<-next
		for v, err := range ape.InvokeStream[Out](ctx, to, "count", in, opts...) {
			c <- told(v, err)
			if !<-next {
				return
			}
		}
		c <- "end"
	}()
	return c
}

func TestAStreamOfTheClientIsReadAtTheReadersPace(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{StreamWindow: 4})
		p := s.pen(w, "")
		next := make(chan bool)
		defer close(next)
		got := streamed[int](t.Context(), p.client(), "q", next)
		synctest.Wait()
		p.none()     // it begins when it is ranged over
		next <- true // the first one
		p.wants(`c 2 count;g=4 "q"`)
		p.write("n 2 1", "n 2 2", "n 2 3", "n 2 4")
		want(t, soon(got), "1")
		p.none() // more only when half is used up
		next <- true
		want(t, soon(got), "2")
		p.wants("g 2 2")
		p.write("n 2 5")
		p.write("n 2 6")
		p.none()
		for i := 3; i <= 6; i++ {
			next <- true
			want(t, soon(got), fmt.Sprint(i))
		}
		p.wants("g 2 2", "g 2 2")
		p.write("n 2 7", "z 2")
		next <- true
		want(t, soon(got), "7")
		next <- true
		want(t, soon(got), "end")
		p.none()
	})
}

func TestCreditGrowsUpToTheWindow(t *testing.T) {
	for _, window := range []int{1, 2, 3, 8, 9, 64, 1000} {
		bubble(t, func(t *testing.T) {
			s := newSite(t, &ape.Options{StreamWindow: window})
			p := s.pen(lineSocket, "")
			next := make(chan bool, 4000)
			defer close(next)
			got := streamed[int](t.Context(), p.client(), nil, next)
			next <- true
			credit, most := 0, 0
			fmt.Sscanf(p.next(), "c 2 count;g=%d null", &credit)
			for i := range 1500 {
				if credit == 0 {
					t.Fatalf("window %d: no credit is left behind %d items", window, i)
				}
				p.write("n 2 1")
				credit--
				next <- true
				if <-got != "1" {
					t.Fatal("an item is missing")
				}
				for synctest.Wait(); p.more(); {
					more := 0
					fmt.Sscanf(p.next(), "g 2 %d", &more)
					credit += more
				}
				most = max(most, credit)
			}
			want(t, most, window)
			p.write("z 2")
			want(t, <-got, "end")
		})
	}
}

func TestLargeItemsLowerTheWindow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, &ape.Options{StreamWindow: 1000})
		p := s.pen(lineSocket, "")
		next := make(chan bool, 1000)
		defer close(next)
		got := streamed[string](t.Context(), p.client(), nil, next)
		next <- true
		p.wants("c 2 count;g=8 null")
		credit := 8
		for range 40 {
			if p.write(`n 2 "` + strings.Repeat("x", 100<<10) + `"`); credit == 0 {
				t.Fatal("no credit is left")
			}
			credit--
			next <- true
			<-got
			for synctest.Wait(); p.more(); {
				more := 0
				fmt.Sscanf(p.next(), "g 2 %d", &more)
				credit += more
			}
			if credit > 8 {
				t.Fatalf("%d items of 100 KiB may be on the way", credit)
			}
		}
		if credit > 2 {
			t.Errorf("%d items of 100 KiB may be on the way", credit)
		}
		p.write("z 2")
	})
}

func TestHowAStreamOfTheClientEnds(t *testing.T) {
	for name, x := range map[string]struct {
		lines []string
		want  string
	}{
		"empty":                  {[]string{"z 2"}, "[]"},
		"items":                  {[]string{"n 2 1", "n 2 2", "z 2"}, "[1 2]"},
		"one answer":             {[]string{"r 2 7"}, "[7]"},
		"no answer":              {[]string{"r 2"}, "[]"},
		"value behind items":     {[]string{"n 2 1", "r 2 7"}, "[1]"},
		"failure":                {[]string{`e 2 {"code":"denied"}`}, "[denied]"},
		"failure behind items":   {[]string{"n 2 1", "n 2 2", `e 2 {"code":"denied"}`}, "[1 2 denied]"},
		"misfit in the middle":   {[]string{"n 2 1", `n 2 "x"`, "n 2 3"}, "[1 invalid]"},
		"item without a value":   {[]string{"n 2 1", "n 2", "z 2"}, "[1 0]"},
		"more than once":         {[]string{"n 2 1", "z 2", "n 2 2", "z 2", "r 2 7", `e 2 {"code":"denied"}`}, "[1]"},
		"item without credit":    {[]string{"n 2 1", "n 2 2", "n 2 3", "n 2 4"}, "[1 2 3 credit]"},
		"half of it, then silly": {[]string{"n 2 1", "q {", "z 2"}, "[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			eachLine(t, func(t *testing.T, w way) {
				s := newSite(t, &ape.Options{StreamWindow: 3})
				p := s.pen(w, "")
				all := make(chan string, 1)
				go func() {
					list := []string{}
					for n, err := range ape.InvokeStream[int](t.Context(), p.client(), "count", nil) {
						if len(list) == 0 {
							time.Sleep(time.Second) // all the lines are there
						}
						list = append(list, told(n, err))
					}
					all <- fmt.Sprint(list)
				}()
				p.wants("c 2 count;g=3 null")
				p.write(x.lines...)
				want(t, await(all), x.want)
				time.Sleep(time.Second)
				switch {
				case strings.Contains(x.want, "invalid"), strings.Contains(x.want, "credit"):
					lines := p.seen()
					want(t, lines[len(lines)-1], "x 2")
				default:
					for _, line := range p.seen() {
						if strings.HasPrefix(line, "x") {
							t.Errorf("got %q", line)
						}
					}
				}
			})
		})
	}
}

func TestLeavingAStreamOfTheClientCancelsIt(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{StreamWindow: 8})
		p := s.pen(w, "")
		seq := ape.InvokeStream[int](t.Context(), p.client(), "count", nil)
		for _, id := range []string{"2", "4"} { // each range is a call of its own
			left := make(chan string, 1)
			go func() {
				for n := range seq {
					left <- fmt.Sprint(n)
					return
				}
			}()
			p.wants("c " + id + " count;g=8 null")
			p.write("n "+id+" 1", "n "+id+" 2")
			want(t, soon(left), "1")
			p.wants("x " + id)
			p.write("n "+id+" 3", `e `+id+` {"code":"cancelled"}`, "n "+id+" 4")
		}
		p.none()
		want(t, s.app.Stats().Late, 2)
	})
}

func TestAStreamOfTheClientEndsWithItsContext(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{StreamWindow: 8})
		p := s.pen(w, "")
		next := make(chan bool, 100)
		defer close(next)
		begin := time.Now()
		got := streamed[int](t.Context(), p.client(), nil, next, ape.Timeout(time.Minute))
		next <- true
		p.wants("c 2 count;t=60000;g=8 null")
		p.write("n 2 1")
		next <- true
		want(t, await(got), "1")
		want(t, await(got), "deadline")
		want(t, time.Since(begin), time.Minute)
		next <- false
		p.wants("x 2")

		ctx, cancel := context.WithCancel(t.Context())
		got = streamed[int](ctx, p.client(), nil, next)
		next <- true
		p.wants("c 4 count;g=8 null")
		p.write("n 4 1", "n 4 2", "n 4 3")
		want(t, await(got), "1")
		cancel()
		next <- true
		want(t, await(got), "cancelled") // though items wait: it may have no end
		next <- false
		p.wants("x 4")
	})
}

func TestItemsOfAStreamThatWasLeftAreNotCounted(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxRunning: 1, MaxMessage: 64 << 10, StreamWindow: 8})
		p := s.pen(w, "")
		for i := range 5 {
			id := 2*i + 2
			next := make(chan bool)
			got := streamed[string](t.Context(), p.client(), nil, next)
			next <- true
			p.wants(fmt.Sprintf("c %d count;g=8 null", id))
			item := fmt.Sprintf(`n %d "%s"`, id, strings.Repeat("x", 20<<10))
			p.write(item)
			want(t, len(soon(got)), 20<<10)
			p.write(item, item) // held for a reader that leaves
			synctest.Wait()
			next <- false
			p.wants(fmt.Sprint("x ", id))
		}
	})
}

func TestItemsThatTheReaderHasNotTakenAreBounded(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxRunning: 1, MaxMessage: 64 << 10, StreamWindow: 8})
		p := s.pen(w, "")
		next := make(chan bool, 10)
		got := streamed[string](t.Context(), p.client(), nil, next)
		next <- true
		p.wants("c 2 count;g=8 null")
		item := `n 2 "` + strings.Repeat("x", 20<<10) + `"`
		p.write(item)
		synctest.Wait()
		p.write(item, item, item) // 60 KiB
		p.none()
		p.asks(item, "x 2")
		close(next)
		want(t, len(await(got)), 20<<10)
	})
}

// errItems is an error of a stream of items.
var errItems = errors.New("the disk is full")

func TestItemsGoWithACallAsTheClientTakesThem(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p := s.pen(w, "")
		yielded := 0
		items := func(n int, end error) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for yielded = range n {
					if !yield(yielded, nil) {
						return
					}
				}
				if end != nil {
					yield(0, end)
				}
			}
		}
		got := invoke[int](t.Context(), p.client(), "sum", items(3, nil))
		p.wants("c 2 sum;i")
		p.none()
		want(t, yielded, 0)
		p.asks("g 2 1", "n 2 0")
		p.none()
		p.asks("g 2 9007199254740991", "n 2 1", "n 2 2", "z 2")
		p.write("r 2 3")
		want(t, soon(got), "3")

		// An error among them.
		got = invoke[int](t.Context(), p.client(), "sum", items(1, errItems))
		p.wants("c 4 sum;i")
		p.asks("g 4 5", "n 4 0", "x 4")
		want(t, soon(got), "error: the disk is full")

		// The client has enough.
		got = invoke[int](t.Context(), p.client(), "sum", items(1000, nil))
		p.wants("c 6 sum;i")
		p.asks("g 6 2", "n 6 0", "n 6 1")
		p.write("r 6 7", "g 6 5")
		want(t, soon(got), "7")
		synctest.Wait()
		want(t, yielded, 2)
		p.none()
	})
}

func TestItemsMayBeOfAnyType(t *testing.T) {
	type list func(func(point, error) bool)
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p := s.pen(w, `"limits":{"line":2000}`)
		bytes := "n 6 =AAE="
		if w == lineSocket {
			bytes = "n 6 =2 + 0001"
		}
		for i, x := range []struct {
			in   any
			want []string
		}{
			{list(func(yield func(point, error) bool) { yield(point{X: 1}, nil) }), []string{`n 2 {"x":1}`, "z 2"}},
			{iter.Seq2[any, error](func(yield func(any, error) bool) {
				_ = yield(nil, nil) && yield(codec.Undefined, nil)
			}), []string{"n 4 null", "n 4", "z 4"}},
			{func(yield func([]byte, error) bool) { yield([]byte{0, 1}, nil) }, []string{bytes, "z 6"}},
			{func(yield func(string, error) bool) {}, []string{"z 8"}},
			{func(yield func(any, error) bool) {
				_ = yield(1, nil) && yield(strings.Repeat("x", 2000), nil)
			}, []string{"n 10 1", "x 10"}},
			{func(yield func(any, error) bool) { _ = yield(1, nil) && yield(make(chan int), nil) }, []string{"n 12 1", "x 12"}},
			{func(yield func(any, error) bool) { yield(1, nil); panic("in the items") }, []string{"n 14 1", "x 14"}},
		} {
			got := invoke[int](t.Context(), p.client(), "sum", x.in)
			id := 2*i + 2
			p.wants(fmt.Sprintf("c %d sum;i", id))
			p.asks(fmt.Sprintf("g %d 9", id), x.want...)
			p.write(fmt.Sprintf("r %d 1", id))
			want(t, soon(got), []string{"1", "1", "1", "1", "too_large", "invalid", "cancelled"}[i])
		}
		want(t, s.app.Stats().Panics, 1)
	})
}

func TestItemsBothWays(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{StreamWindow: 8})
		p := s.pen(w, "")
		next := make(chan bool, 10)
		defer close(next)
		got := streamed[int](t.Context(), p.client(), func(yield func(int, error) bool) {
			for i := 1; yield(i, nil); i++ {
			}
		}, next)
		next <- true
		p.wants("c 2 count;g=8;i")
		p.asks("g 2 2", "n 2 1", "n 2 2")
		p.write("n 2 2", "n 2 4")
		want(t, await(got), "2")
		p.asks("g 2 1", "n 2 3")
		next <- true
		want(t, await(got), "4")
		p.write("z 2")
		next <- true
		want(t, await(got), "end")
		p.none()
	})
}

func TestItemsThatEndWithTheContextAreItsEnd(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		p := s.pen(w, "")
		for range 20 { // the items or the call may notice first
			ctx, cancel := context.WithCancel(t.Context())
			got := invoke[int](ctx, p.client(), "sum", func(yield func(int, error) bool) {
				<-ctx.Done()
				yield(0, fmt.Errorf("reading: %w", ctx.Err()))
			})
			synctest.Wait()
			cancel()
			want(t, soon(got), "cancelled")
		}
	})
}
