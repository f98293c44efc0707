package ape_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// collector notes what its items are, one for each value that next gives.
type collector struct {
	next chan bool
	got  chan string
}

func newCollector() *collector {
	return &collector{make(chan bool, 100), make(chan string, 100)}
}

func (k *collector) controller() ape.Controller {
	return ape.Collect(func(_ context.Context, items iter.Seq2[int, error]) (string, error) {
		for n, err := range items {
			k.got <- told(n, err)
			if !<-k.next {
				return "left", nil
			}
		}
		return "all", nil
	})
}

func TestItemsToTheServerNeedCredit(t *testing.T) {
	for window, x := range map[int]struct{ first, again int }{1: {1, 1}, 2: {2, 1}, 4: {4, 2}, 8: {8, 4}} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			eachLine(t, func(t *testing.T, w way) {
				s := newSite(t, &ape.Options{StreamWindow: window})
				k := newCollector()
				defer close(k.next)
				s.app.Handle("collect", k.controller())
				p := s.pen(w, "")
				p.asks("c 1 collect;i", fmt.Sprintf("g 1 %d", x.first))
				for range x.first {
					p.write("n 1 7")
				}
				synctest.Wait()
				if x.again > 1 {
					p.none() // less than half is used up
				}
				for range x.first {
					want(t, await(k.got), "7")
					k.next <- true
				}
				for granted := 0; granted < x.first; granted += x.again {
					p.wants(fmt.Sprintf("g 1 %d", x.again))
				}
				p.none()
				// Two too many: one of them may be taken, and replaced, at once.
				p.write(strings.Repeat("n 1 8\n", x.first+2) + "m nothing")
				var lines []string
				for synctest.Wait(); p.more(); {
					lines = append(lines, p.next())
				}
				want(t, lines[len(lines)-1], "e 1 credit")
				p.write("n 1 1", "z 1", "n 1 1", "x 1")
				p.none()
				synctest.Wait()
				want(t, p.client().Attached(), true)
			})
		})
	}
}

func TestItemsThatNobodyAskedFor(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		ctxs := make(chan context.Context, 10)
		s.app.Handle("wait", ape.Get(func(ctx context.Context) (any, error) { ctxs <- ctx; <-ctx.Done(); return nil, ctx.Err() }))
		s.app.Handle("plain", ape.Get(func(context.Context) (int, error) { return 7, nil }))
		p := s.pen(w, "")
		// Who takes no items never grants, and a plain call has none.
		p.asks("c 1 plain;i", "r 1 7")
		p.asks("c 3 plain;i 5", "r 3 7")
		p.write("c 5 wait;i", "c 7 wait", "c 9 wait;g=5")
		p.none()
		p.asks("z 5\nz 7\nz 9\nm nothing")
		p.none()
		p.asks("n 5 1\nn 7 1\nn 9 1", "e 5 credit", "e 7 credit", "e 9 credit")
		for range 3 {
			want(t, (<-ctxs).Err(), context.Canceled)
		}
		p.none()
		want(t, s.app.Stats().Late, 3)
	})
}

func TestHowItemsToTheServerEnd(t *testing.T) {
	for name, x := range map[string]struct {
		lines []string
		got   string
		last  string
	}{
		"by themselves":        {[]string{"n 1 1", "n 1 2", "z 1"}, "1 2", `r 1 "all"`},
		"at once":              {[]string{"z 1"}, "", `r 1 "all"`},
		"without a value":      {[]string{"n 1", "z 1"}, "0", `r 1 "all"`},
		"cancelled":            {[]string{"n 1 1", "x 1"}, "1 error: context canceled", `r 1 "all"`},
		"unreadable":           {[]string{"n 1 {oops", "n 1 2", "z 1"}, "invalid 2", `r 1 "all"`},
		"of another type":      {[]string{`n 1 "text"`, "n 1 2", "z 1"}, "invalid 2", `r 1 "all"`},
		"bytes":                {[]string{"n 1 =AAEC", "n 1 2", "z 1"}, "invalid 2", `r 1 "all"`},
		"malformed":            {[]string{"n 1 ", "n 1 2", "z 1"}, "2", `r 1 "all"`},
		"too long":             {[]string{"n 1 1", `n 1 "` + strings.Repeat("x", 3000) + `"`, "n 1 2", "z 1"}, "1 error: context canceled", "e 1 too_large"},
		"twice":                {[]string{"n 1 1", "z 1", "z 1", "n 1 2"}, "1", `r 1 "all"`},
		"answered by the peer": {[]string{"n 1 1", "r 1 5", "e 1 {}", "n 1 2", "z 1"}, "1 2", `r 1 "all"`},
	} {
		t.Run(name, func(t *testing.T) {
			eachLine(t, func(t *testing.T, w way) {
				s := newSite(t, &ape.Options{MaxMessage: 2000, StreamWindow: 8})
				k := newCollector()
				s.app.Handle("collect", k.controller())
				p := s.pen(w, "")
				p.asks("c 1 collect;i", "g 1 8")
				for _, line := range x.lines {
					p.write(line)
					synctest.Wait()
					k.next <- true
				}
				k.next <- true
				synctest.Wait()
				p.wants(x.last)
				p.none()
				close(k.got)
				var got []string
				for item := range k.got {
					got = append(got, item)
				}
				want(t, strings.Join(got, " "), x.got)
			})
		})
	}
}

func TestItemsOfEveryForm(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var got []string
		s.app.Handle("bytes", ape.Collect(func(_ context.Context, items iter.Seq2[[]byte, error]) (n int, _ error) {
			for b, err := range items {
				got = append(got, told(b, err))
			}
			return len(got), nil
		}))
		s.app.Handle("any", ape.Collect(func(_ context.Context, items iter.Seq2[any, error]) (n int, _ error) {
			for v, err := range items {
				got = append(got, told(v, err))
			}
			return len(got), nil
		}))
		s.app.Handle("raw", ape.ControllerFunc(func(_ context.Context, c *ape.Call) (any, error) {
			for it, err := range c.Items() { // two ranges over one stream
				got = append(got, told(c.Decode(it), err))
				break
			}
			for it, err := range c.Items() {
				var v struct{ At time.Time }
				got = append(got, told(it.Decode(&v), err), fmt.Sprint(v.At.UnixMilli()))
			}
			return len(got), nil
		}))
		p := s.pen(w, "")
		p.asks("c 1 bytes;i", "g 1 8")
		p.asks("n 1 =AAEC\nn 1 =\nn 1 \"?!\"\nz 1\n", "r 1 3")
		want(t, got, "[[0 1 2] [] invalid]")
		got = nil
		p.asks("c 3 any;i", "g 3 8")
		p.asks("n 3 =AAEC\nn 3 {\"at<!D>\":5}\nn 3\nn 3 null\nz 3\n", "r 3 4")
		want(t, got, fmt.Sprintf("[[0 1 2] map[at:%v] undefined <nil>]", time.UnixMilli(5).UTC()))
		got = nil
		p.asks("c 5 raw;i", "g 5 8")
		p.asks("n 5 1\nn 5 {\"At<!D>\":5}\nz 5\n", "r 5 3")
		want(t, got, "[<nil> <nil> 5]")
		// A value instead of items is one item, and nothing is none.
		got = nil
		p.asks("c 7 bytes =AAEC", "r 7 1")
		p.asks("c 9 any", "r 9 1")
		p.asks("c 11 any [1]", "r 11 2")
		want(t, got, "[[0 1 2] [1]]")
	})
}

func TestLeavingItemsEarly(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{StreamWindow: 8})
		k := newCollector()
		s.app.Handle("collect", k.controller())
		hold := make(chan struct{})
		s.app.Handle("hold", ape.Collect(func(_ context.Context, items iter.Seq2[int, error]) (int, error) {
			for range items {
				break
			}
			<-hold
			return 1, nil
		}))
		p := s.pen(w, "")
		p.asks("c 1 collect;i", "g 1 8")
		p.write("n 1 1", "n 1 2")
		k.next <- false
		p.wants(`r 1 "left"`)
		p.write("n 1 3", "n 1 4", "z 1")
		p.none()
		// It has left, and goes on: what comes meanwhile is held, within the credit.
		p.asks("c 3 hold;i", "g 3 8")
		p.write("n 3 1", "n 3 2", "n 3 3")
		p.none()
		close(hold)
		p.wants("r 3 1")
		p.none()
	})
}

func TestItemsThatWaitAreBounded(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxRunning: 2, MaxMessage: 100 << 10, MaxQueue: 1 << 20}) // 200 KiB
		k := newCollector()
		s.app.Handle("collect", k.controller())
		s.app.Handle("hold", ape.Collect(func(ctx context.Context, items iter.Seq2[string, error]) (int, error) {
			for range items {
				<-ctx.Done()
			}
			return 1, nil
		}))
		s.app.Handle("size", ape.Func(func(_ context.Context, in string) (int, error) { return len(in), nil }))
		p := s.pen(w, "")
		item := ` "` + strings.Repeat("x", 90<<10) + `"`
		p.asks("c 1 hold;i", "g 1 8")
		p.write("n 1" + item)
		synctest.Wait() // it is looked at, and not held any more
		p.asks("c 3 hold;i", "g 3 8")
		p.write("n 3" + item)
		synctest.Wait()
		p.write("n 1"+item, "n 1"+item)
		p.none()
		p.asks("n 3"+item, "e 3 busy") // 270 KiB
		p.asks("c 5 size"+item, "e 5 busy")
		p.asks("x 1", "r 1 1")
		p.asks("c 7 size"+item, fmt.Sprint("r 7 ", 90<<10))
		p.asks("c 9 hold;i", "g 9 8")
		p.write("n 9" + item)
		synctest.Wait()
		p.write("n 9"+item, "n 9"+item)
		p.none()
		p.asks("n 9"+item, "e 9 busy")
		synctest.Wait()
		p.asks("c 11 size"+item, fmt.Sprint("r 11 ", 90<<10))
	})
}

func TestDuplexGoesBothWaysAtItsReadersPace(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{StreamWindow: 2})
		s.app.Handle("double", ape.Duplex(func(_ context.Context, items iter.Seq2[int, error]) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n, err := range items {
					if !yield(2*n, err) {
						return
					}
				}
				yield(-1, nil)
			}
		}))
		p := s.pen(w, "")
		p.asks("c 1 double;g=1;i", "g 1 2")
		p.asks("n 1 1", "g 1 1", "n 1 2")
		p.asks("n 1 2", "g 1 1") // its result waits for credit
		p.write("n 1 3", "n 1 4")
		p.none()
		p.asks("g 1 1", "n 1 4", "g 1 1")
		p.asks("g 1 8", "n 1 6", "g 1 1", "n 1 8")
		p.asks("z 1", "n 1 -1", "z 1")
		// An end of both by the caller, and by an unreadable item.
		p.asks("c 3 double;g=9;i", "g 3 2")
		p.asks("x 3", "e 3 cancelled")
		p.asks("c 5 double;g=9;i", "g 5 2")
		p.asks(`n 5 "x"`, "g 5 1", "e 5 invalid")
		p.none()
	})
}
