package ape_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
)

// upTo yields 1 to n, and counts how many it has yielded.
func upTo(n int, yielded *atomic.Int64) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i+1, nil) {
				return
			}
			if yielded != nil {
				yielded.Add(1)
			}
		}
	}
}

func summed(_ context.Context, items iter.Seq2[int, error]) (sum int, _ error) {
	for n, err := range items {
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func doubled(_ context.Context, items iter.Seq2[int, error]) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n, err := range items {
			if !yield(2*n, err) || err != nil {
				return
			}
		}
	}
}

// streams are the paths of both ends.
func streams() map[string]ape.Controller {
	return map[string]ape.Controller{
		"count":  ape.Stream(func(_ context.Context, n int) iter.Seq2[int, error] { return upTo(n, nil) }),
		"sum":    ape.Collect(summed),
		"double": ape.Duplex(doubled),
		"fails": ape.Stream(func(context.Context, struct{}) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				_ = yield(1, nil) && yield(0, ape.Errorf(ape.Conflict, "two is taken"))
			}
		}),
		"once": ape.Func(func(_ context.Context, in string) (string, error) { return in + "!", nil }),
	}
}

// Streams work both ways, from both ends, through cuts. A client that polls waits
// for whole responses, so that cuts as frequent would leave it none.
func TestStreamsOfAConn(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, &ape.Options{ResumeWindow: time.Hour})
		for path, h := range streams() {
			p.app().Handle(path, h)
		}
		s := &states{}
		c := p.dial(over, &ape.DialOptions{Handlers: streams(), OnState: s.note})
		for _, target := range []ape.Target{c, p.app().Client(c.ID())} {
			for _, cuts := range []bool{false, true} {
				stop := make(chan struct{})
				cutting := make(chan struct{})
				go func() {
					defer close(cutting)
					for cuts && over != byPoll {
						select {
						case <-stop:
							return
						case <-time.After(200 * time.Millisecond):
							p.Cut()
						}
					}
				}()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				p.Delay(10 * time.Millisecond)
				n := 0
				for i, err := range ape.InvokeStream[int](ctx, target, "count", 500) {
					if n++; err != nil || i != n {
						t.Fatalf("item %d is %d, %v", n, i, err)
					}
				}
				want(t, n, 500)
				sum, err := ape.Invoke[int](ctx, target, "sum", upTo(500, nil))
				if sum != 500*501/2 || err != nil {
					t.Error(sum, err)
				}
				n = 0
				for i, err := range ape.InvokeStream[int](ctx, target, "double", upTo(500, nil)) {
					if n++; err != nil || i != 2*n {
						t.Fatalf("item %d is %d, %v", n, i, err)
					}
				}
				want(t, n, 500)
				p.Delay(0)
				close(stop)
				<-cutting
				cancel()
			}
		}
		if got := s.String(); over != byPoll && !strings.Contains(got, "resumed") || strings.Contains(got, "gap") {
			t.Errorf("states %s", got)
		}
	})
}

func TestStreamsEndInEveryWay(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		var yielded atomic.Int64
		both := streams()
		both["many"] = ape.Stream(func(ctx context.Context, _ struct{}) iter.Seq2[int, error] { return upTo(1e6, &yielded) })
		both["first"] = ape.Collect(func(_ context.Context, items iter.Seq2[int, error]) (int, error) {
			for n, err := range items {
				return n, err
			}
			return 0, errors.New("nothing came")
		})
		p := newPlace(t, nil)
		for path, h := range both {
			p.app().Handle(path, h)
		}
		c := p.dial(over, &ape.DialOptions{Handlers: both, StreamWindow: 16})
		for _, target := range []ape.Target{c, p.app().Client(c.ID())} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			var got []string
			for i, err := range ape.InvokeStream[int](ctx, target, "fails", nil) {
				got = append(got, fmt.Sprint(i, " ", err))
			}
			want(t, got, "[1 <nil> 0 conflict: two is taken]")
			for v, err := range ape.InvokeStream[string](ctx, target, "once", "x") {
				want(t, v, "x!")
				want(t, err, nil)
			}
			for _, err := range ape.InvokeStream[string](ctx, target, "nowhere", nil) {
				want(t, ape.CodeOf(err), ape.NotFound)
			}
			_, err := ape.Invoke[int](ctx, target, "count", 3)
			want(t, ape.CodeOf(err), ape.Invalid)
			// Leaving the loop ends the producer, which was never far ahead.
			yielded.Store(0)
			for i := range ape.InvokeStream[int](ctx, target, "many", nil) {
				if i == 5 {
					break
				}
			}
			time.Sleep(time.Minute)
			if n := yielded.Load(); n > 100 {
				t.Errorf("%d items were made for a loop of five", n)
			}
			// The callee may leave the items.
			yielded.Store(0)
			n, err := ape.Invoke[int](ctx, target, "first", upTo(1e6, &yielded))
			want(t, n, 1)
			want(t, err, nil)
			time.Sleep(time.Minute)
			if n := yielded.Load(); n > 100 {
				t.Errorf("%d items were made for a callee that takes one", n)
			}
			// An error among the items cancels the call.
			broken := errors.New("broken")
			_, err = ape.Invoke[int](ctx, target, "sum", iter.Seq2[int, error](func(yield func(int, error) bool) { _ = yield(1, nil) && yield(0, broken) }))
			want(t, err, broken)
			// The context ends both.
			short, stop := context.WithTimeout(ctx, time.Second)
			var last error
			for _, err := range ape.InvokeStream[int](short, target, "double", func(yield func(int, error) bool) {
				for yield(1, nil) {
					time.Sleep(100 * time.Millisecond)
				}
			}) {
				last = err
			}
			want(t, ape.CodeOf(last), ape.Deadline)
			stop()
			cancel()
		}
		synctest.Wait()
	})
}

func TestHandlersOfAConn(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		var running atomic.Int64
		c := p.dial(over, &ape.DialOptions{MaxCalls: 4, Handlers: map[string]ape.Controller{
			"bytes": ape.Func(func(_ context.Context, in []byte) ([]byte, error) { return append(in, 0), nil }),
			"none":  ape.Func(func(_ context.Context, in any) (any, error) { return in, nil }),
			"panic": ape.Func(func(context.Context, struct{}) (struct{}, error) { panic("oops") }),
			"plain": ape.Func(func(context.Context, struct{}) (struct{}, error) { return struct{}{}, errors.New("secret") }),
			"who": ape.Func(func(ctx context.Context, _ struct{}) (string, error) {
				call := ape.From(ctx)
				if call.Client() != nil || call.Server() != nil || call.Request() != nil {
					return "", ape.Errorf("odd", "a call on a Conn has a client")
				}
				if call.Broadcast("x", 1) == nil || call.BroadcastOthers("x", 1) == nil || call.Publish("x", 1) == nil {
					return "", ape.Errorf("odd", "a Conn broadcasts")
				}
				return call.Conn().ID(), nil
			}),
			"stay": ape.Func(func(ctx context.Context, _ struct{}) (struct{}, error) {
				running.Add(1)
				defer running.Add(-1)
				<-ctx.Done()
				return struct{}{}, ctx.Err()
			}),
			"deaf": ape.Func(func(context.Context, struct{}) (struct{}, error) { time.Sleep(time.Hour); return struct{}{}, nil }),
		}})
		client := p.app().Client(c.ID())
		code := func(path string, in any, opts ...ape.CallOption) ape.Code {
			_, err := ape.Invoke[any](t.Context(), client, path, in, opts...)
			return ape.CodeOf(err)
		}
		octets, err := ape.Invoke[[]byte](t.Context(), client, "bytes", []byte{1, 2})
		want(t, octets, "[1 2 0]")
		want(t, err, nil)
		nothing, err := ape.Invoke[any](t.Context(), client, "none", codec.Undefined)
		want(t, nothing == codec.Undefined, true)
		want(t, err, nil)
		id, err := ape.Invoke[string](t.Context(), client, "who", nil)
		want(t, id, c.ID())
		want(t, err, nil)
		want(t, code("nowhere", nil), ape.NotFound)
		want(t, code("bytes", 7), ape.Invalid)
		want(t, code("panic", nil), ape.Internal)
		want(t, code("plain", nil), ape.Internal)
		want(t, code("stay", nil, ape.Timeout(time.Second)), ape.Deadline)
		want(t, code("deaf", nil, ape.Timeout(time.Second)), ape.Deadline)
		synctest.Wait()
		want(t, running.Load(), 0)
		// The client's limit holds for the server before it sends.
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{}, 4)
		for range 4 {
			go func() { ape.Invoke[any](ctx, client, "stay", nil, ape.Timeout(0)); done <- struct{}{} }()
		}
		time.Sleep(time.Minute)
		want(t, running.Load() > 0, true)
		want(t, code("none", 1), ape.Busy)
		cancel()
		for range 4 {
			<-done
		}
		time.Sleep(time.Minute)
		want(t, running.Load(), 0)
		c.Handle("later", ape.Func(func(context.Context, struct{}) (string, error) { return "here", nil }))
		late, err := ape.Invoke[string](t.Context(), client, "later", nil)
		want(t, late, "here")
		want(t, err, nil)
		time.Sleep(2 * time.Hour) // the deaf one
	})
}

func TestConnTimeouts(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		p.app().Handle("slow", ape.Func(func(ctx context.Context, _ struct{}) (struct{}, error) { <-ctx.Done(); return struct{}{}, ctx.Err() }))
		c := p.dial(over, &ape.DialOptions{Timeout: 20 * time.Second, Timeouts: map[string]time.Duration{"wait": 3 * time.Second, "slow": -1}})
		plain := p.dial(over, nil)
		took := func(c *ape.Conn, path string, ctx context.Context, opts ...ape.CallOption) string {
			began := time.Now()
			_, err := ape.Invoke[any](ctx, c, path, nil, opts...)
			return fmt.Sprint(ape.CodeOf(err), " ", time.Since(began))
		}
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		want(t, took(c, "slow", short), "deadline 5s")
		want(t, took(c, "wait", t.Context()), "deadline 3s")
		want(t, took(c, "wait", t.Context(), ape.Timeout(7*time.Second)), "deadline 7s")
		want(t, took(plain, "wait", t.Context()), "deadline 10s")
		other := p.dial(over, &ape.DialOptions{Timeout: 20 * time.Second})
		want(t, took(other, "wait", t.Context()), "deadline 20s")
		long, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, stop)
		want(t, took(c, "slow", long), "cancelled 1h0m0s")
	})
}
