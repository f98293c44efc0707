package ape_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

func TestConnCloseEndsEverything(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		left := make(chan error, 8)
		p := newPlace(t, &ape.Options{OnDisconnect: func(_ *ape.Client, why error) { left <- why }})
		handled := make(chan error, 1)
		s := &states{}
		c := p.dial(over, &ape.DialOptions{OnState: s.note, Handlers: map[string]ape.Controller{
			"stay": ape.Func(func(ctx context.Context, _ struct{}) (struct{}, error) {
				<-ctx.Done()
				handled <- context.Cause(ctx)
				return struct{}{}, nil
			}),
		}})
		if over == byPoll { // its first response was given up, with its session
			time.Sleep(2 * time.Minute)
			<-left
		}
		client := p.app().Client(c.ID())
		asked := make(chan error, 1)
		go func() {
			_, err := ape.Invoke[any](t.Context(), client, "stay", nil, ape.Timeout(0))
			asked <- err
		}()
		call := begin(t, c, "wait", nil)
		subscribed := make(chan error, 1)
		go func() {
			for _, err := range ape.Subscribe[int](t.Context(), c, "news") {
				subscribed <- err
			}
		}()
		synctest.Wait()
		began := time.Now()
		c.Close()
		if took := time.Since(began); took > 0 {
			t.Errorf("a good end took %s", took)
		}
		want(t, (<-call).err == ape.ErrGone, true)
		want(t, <-subscribed == ape.ErrGone, true)
		want(t, errors.Is(<-handled, ape.ErrGone), true)
		want(t, <-asked == ape.ErrGone, true)
		<-left // at once
		want(t, time.Since(began), "0s")
		want(t, c.Close(), nil)
		want(t, c.Send("note", nil) == ape.ErrGone, true)
		_, err := ape.Invoke[any](t.Context(), c, "echo", 1)
		want(t, err == ape.ErrGone, true)
		for _, err := range ape.InvokeStream[any](t.Context(), c, "echo", 1) {
			want(t, err == ape.ErrGone, true)
		}
		for _, err := range ape.Subscribe[any](t.Context(), c, "news") {
			want(t, err == ape.ErrGone, true)
		}
		ape.On(c, "tick", func(int) {})()
		got := s.String()
		want(t, got[len(got)-len("|closed closed"):], "|closed closed")
	})
}

func TestConnCloseFromItsOwnCallbacks(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		for _, from := range []string{"handler", "On", "OnState", "Auth", "a stream", "Subscribe"} {
			p := newPlace(t, nil)
			p.app().Handle("ask", ape.Func(func(ctx context.Context, _ struct{}) (any, error) {
				return ape.Invoke[any](ctx, ape.From(ctx).Client(), "close", nil)
			}))
			p.app().Handle("push", ape.Func(func(ctx context.Context, _ struct{}) (any, error) {
				return nil, ape.From(ctx).Client().Send("close", 1)
			}))
			var conn atomic.Pointer[ape.Conn]
			closed := make(chan struct{})
			shut := func() {
				if c := conn.Load(); c != nil {
					c.Close()
					conn.Store(nil)
					close(closed)
				}
			}
			o := &ape.DialOptions{Handlers: map[string]ape.Controller{
				"close": ape.Func(func(ctx context.Context, _ struct{}) (struct{}, error) {
					want(t, ape.From(ctx).Conn() == conn.Load(), true)
					shut()
					return struct{}{}, nil
				}),
			}}
			if from == "OnState" {
				o.OnState = func(s ape.StateChange) {
					if s.State == ape.StateDisconnected {
						shut()
					}
				}
			}
			if from == "Auth" {
				o.Auth = func(context.Context) (any, error) { shut(); return nil, nil }
			}
			c := p.dial(over, o)
			ape.On(c, "close", func(int) { shut() })
			conn.Store(c)
			synctest.Wait()
			switch from {
			case "handler":
				go ape.Invoke[any](t.Context(), c, "ask", nil)
			case "On":
				go ape.Invoke[any](t.Context(), c, "push", nil)
			case "OnState", "Auth":
				p.Cut()
			case "a stream":
				go func() {
					for range ape.InvokeStream[any](t.Context(), c, "echo", 1) {
						shut()
					}
				}()
			case "Subscribe":
				p.app().Publish("news", 1)
				go func() {
					for range ape.Subscribe[any](t.Context(), c, "news") {
						shut()
					}
				}()
			}
			select {
			case <-closed:
			case <-time.After(3 * time.Minute):
				t.Fatalf("%s: Close did not return", from)
			}
			<-c.Done()
			c.Close()
		}
	})
}

func TestConnCloseAtTheSameTime(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		c := p.dial(over, nil)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				c.Close()
				select {
				case <-c.Done():
				default:
					t.Error("Close returned before the end")
				}
			})
		}
		all.Wait()
	})
}

// Close does not wait for a network that is gone.
func TestConnCloseWithoutNetwork(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		for name, change := range map[string]func(*place){
			"half-open":  func(p *place) { p.Drop() },
			"refused":    func(p *place) { p.Refuse(true); p.Cut(); time.Sleep(time.Second) },
			"connecting": func(p *place) { p.Delay(time.Hour); p.Cut(); time.Sleep(2 * time.Second) },
		} {
			p := newPlace(t, nil)
			c := p.dial(over, nil)
			call := begin(t, c, "wait", nil)
			change(p)
			began := time.Now()
			c.Close()
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s: took %s", name, took)
			}
			want(t, (<-call).err == ape.ErrGone, true)
			p.Delay(0)
			p.Cut()
			time.Sleep(2 * time.Minute) // the server's ends give up
		}
	})
}

func TestConnKickedIsFinal(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		s := &states{}
		c := p.dial(over, &ape.DialOptions{OnState: s.note})
		call := begin(t, c, "wait", nil)
		time.Sleep(time.Second)
		p.app().Client(c.ID()).Close(ape.CloseKicked, "behave")
		<-c.Done()
		want(t, (<-call).err == ape.ErrGone, true)
		want(t, c.State(), ape.StateClosed)
		why, ok := c.Err().(*ape.CloseError)
		if !ok || why.Code != ape.CloseKicked || why.Reason != "behave" {
			t.Errorf("ended by %v", c.Err())
		}
		got := s.String()
		want(t, got[len(got)-len("|closed kicked"):], "|closed kicked")
		time.Sleep(5 * time.Minute)
		c.Close()
		want(t, c.Err() == error(why), true)
	})
}
