package ape_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

func TestOnHearsEventsInOrder(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		c := p.dial(over, nil)
		client := p.app().Client(c.ID())
		heard := &trail{}
		off := ape.On(c, "tick", func(n int) { heard.add("a%d", n) })
		ape.On(c, "/tick", func(n int) { // may call
			out, err := ape.Invoke[int](t.Context(), c, "echo", n, ape.Timeout(time.Minute))
			heard.add("b%d", out)
			if err != nil {
				t.Error(err)
			}
		})
		ape.On(c, "tock", func(b []byte) { heard.add("%v/%d", b, len(b)); clear(b) })
		ape.On(c, "tock", func(b []byte) { heard.add("%v", b) })
		ape.On(c, "tock", func(v any) { heard.add("%T", v) })
		ape.On(c, "panic", func(int) { panic("oops") })
		client.Send("nobody", 1)
		client.Send("tick", 1)
		client.Send("tock", []byte{7, 8})
		client.Send("tock", []byte{})
		client.Send("tick", "misfit")
		client.Send("panic", 1)
		client.Send("tick", 2)
		time.Sleep(time.Minute)
		want(t, heard, "a1 b1 [7 8]/2 [7 8] []uint8 []/0 [] []uint8 a2 b2")
		off()
		off()
		client.Send("tick", 3)
		time.Sleep(time.Minute)
		want(t, heard, "b3")
		want(t, c.Dropped(), 0)
		log := p.log.String()
		want(t, strings.Contains(log, "does not fit its listener"), true)
		want(t, strings.Contains(log, "panic in an event"), true)
	})
}

func TestOnDropsTheOldestForASlowListener(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		c := p.dial(over, &ape.DialOptions{MaxMessage: 10 << 10, MaxQueue: 10 << 10})
		client := p.app().Client(c.ID())
		var heard []int
		gate := make(chan struct{})
		ape.On(c, "tick", func(v struct {
			N    int
			Fill string
		}) {
			<-gate
			heard = append(heard, v.N)
		})
		for n := range 50 {
			client.Send("tick", map[string]any{"N": n, "Fill": strings.Repeat("x", 1000)})
			time.Sleep(time.Second)
		}
		ask(t, c, "echo", 1, "1") // nothing else waits for it
		close(gate)
		time.Sleep(time.Second)
		synctest.Wait()
		dropped := int(c.Dropped())
		if dropped < 35 || dropped+len(heard) != 50 {
			t.Errorf("%d dropped, %d heard", dropped, len(heard))
		}
		for i, n := range heard[1:] {
			want(t, n, i+1+dropped)
		}
	})
}

// hears collects what a loop over a channel yields until it ends.
func hears(t *testing.T, ctx context.Context, c *ape.Conn, channel string, opts ...ape.SubscribeOption) (*trail, <-chan error) {
	got, end := &trail{}, make(chan error, 1)
	go func() {
		defer close(end)
		for v, err := range ape.Subscribe[any](ctx, c, channel, opts...) {
			if err != nil {
				end <- err
				return
			}
			got.add("%v", v)
		}
	}()
	synctest.Wait()
	return got, end
}

func TestSubscribeYieldsTheLastValueAndAllBehindIt(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		c := p.dial(over, nil)
		p.app().Publish("news", "old")
		p.app().Publish("news", "last")
		ctx, cancel := context.WithCancel(t.Context())
		got, end := hears(t, ctx, c, "/news")
		time.Sleep(30 * time.Second)
		want(t, got, "last")
		p.app().Publish("news", 1)
		p.app().Publish("news", nil)
		time.Sleep(time.Second)
		want(t, got, "1 <nil>")
		other, otherEnd := hears(t, t.Context(), c, "news") // shares the subscription
		want(t, other, "<nil>")
		p.app().Publish("news", 2)
		time.Sleep(time.Second)
		want(t, got, "2")
		want(t, other, "2")
		cancel()
		want(t, <-end, context.Canceled)
		p.app().Publish("news", 3)
		time.Sleep(time.Second)
		want(t, got, "")
		want(t, other, "3")
		// Through a cut.
		p.Refuse(true)
		p.Cut()
		for n := range 3 {
			p.app().Publish("news", n+4)
		}
		p.Refuse(false)
		time.Sleep(time.Minute)
		want(t, other, "4 5 6")
		// The server ends it.
		p.app().Client(c.ID()).Unsubscribe("news")
		want(t, ape.CodeOf(<-otherEnd), ape.Denied)
		p.app().Publish("news", 7)
		again, _ := hears(t, t.Context(), c, "news")
		time.Sleep(time.Minute)
		want(t, again, "7")
	})
}

func TestSubscribeAgainAtOnceHearsNothingTwice(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		p.Delay(100 * time.Millisecond)
		c := p.dial(over, nil)
		n := 0
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					n++
					p.app().Publish("news", n)
				}
			}
		}()
		last := 0
		for range 30 {
			got := 0
			for v, err := range ape.Subscribe[int](t.Context(), c, "news") {
				if err != nil {
					t.Fatal(err)
				}
				// The last value may be what was heard before; nothing is older.
				if got > 0 && v != last+1 || v < last {
					t.Fatalf("%d behind %d", v, last)
				}
				last = v
				if got++; got == 5 {
					break
				}
			}
		}
		close(stop)
		<-done
	})
}

func TestSubscribeIsRefused(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, &ape.Options{MaxSubscriptions: 2, AuthorizeSubscribe: func(_ context.Context, _ *ape.Client, channel string) error {
			if strings.HasPrefix(channel, "secret/") {
				return ape.Errorf(ape.Denied, "not for you")
			}
			return nil
		}})
		c := p.dial(over, nil)
		_, end := hears(t, t.Context(), c, "secret/plans")
		_, also := hears(t, t.Context(), c, "secret/plans")
		for _, e := range []<-chan error{end, also} {
			err := <-e
			want(t, err, "denied: not for you")
			want(t, errors.Is(err, &ape.Error{Code: ape.Denied}), true)
		}
		hears(t, t.Context(), c, "a")
		hears(t, t.Context(), c, "b")
		_, end = hears(t, t.Context(), c, "c")
		want(t, ape.CodeOf(<-end), ape.Busy)
		_, end = hears(t, t.Context(), c, strings.Repeat("x", 300))
		want(t, ape.CodeOf(<-end), ape.Invalid)
		p.app().Publish("d", "no number")
		p.app().Client(c.ID()).Unsubscribe("a")
		time.Sleep(time.Minute)
		for _, err := range ape.Subscribe[int](t.Context(), c, "d") {
			want(t, ape.CodeOf(err), ape.Invalid)
		}
	})
}

func TestSubscribeDropsForASlowLoop(t *testing.T) {
	for name, test := range map[string]struct {
		opts []ape.SubscribeOption
		got  string
	}{
		"oldest": {[]ape.SubscribeOption{ape.Buffer(3)}, "0 +6 7 8 9"},
		"newest": {[]ape.SubscribeOption{ape.Buffer(3), ape.DropNewest()}, "0 +6 1 2 3"},
		"one":    {[]ape.SubscribeOption{ape.Buffer(0)}, "0 +8 9"},
		"enough": {[]ape.SubscribeOption{ape.Buffer(10)}, "0 1 2 3 4 5 6 7 8 9"},
		"usual":  {nil, "0 1 2 3 4 5 6 7 8 9"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, nil)
				c := p.dial(bySocket, nil)
				got := &trail{}
				gate := make(chan struct{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				opts := append(test.opts, ape.OnDrop(func(n int) { got.add("+%d", n) }))
				go func() {
					for v := range ape.Subscribe[int](ctx, c, "news", opts...) {
						got.add("%d", v)
						<-gate
					}
				}()
				synctest.Wait()
				for n := range 10 {
					p.app().Publish("news", n)
					time.Sleep(time.Second)
				}
				close(gate)
				want(t, got, test.got)
			})
		})
	}
}

func TestSubscribeWithoutAConnection(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		var asked atomic.Int64
		p := newPlace(t, &ape.Options{AuthorizeSubscribe: func(context.Context, *ape.Client, string) error { asked.Add(1); return nil }})
		c := p.dial(over, nil)
		p.app().Publish("news", 1)
		p.Refuse(true)
		p.Cut()
		time.Sleep(time.Second)
		for n := range 100 { // nothing is left of those that end before they are said
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			for _, err := range ape.Subscribe[int](ctx, c, fmt.Sprint("away", n)) {
				want(t, err, context.DeadlineExceeded)
			}
			cancel()
		}
		got, _ := hears(t, t.Context(), c, "news")
		p.Refuse(false)
		time.Sleep(2 * time.Minute)
		want(t, got, "1")
		want(t, asked.Load(), 1)
	})
}
