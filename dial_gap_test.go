package ape_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// asAnn is the identity of every client: keys need one.
func asAnn(*http.Request, json.RawMessage) (string, error) { return "ann", nil }

// loseSession ends the client's session while it is away, and lets it come back.
func (p *place) loseSession(c *ape.Conn, away func()) {
	p.t.Helper()
	p.Refuse(true)
	p.Cut()
	time.Sleep(70 * time.Second) // ResumeWindow
	synctest.Wait()
	if p.app().Client(c.ID()) != nil {
		p.t.Error("the session lives")
	}
	away()
	p.Refuse(false)
}

func TestConnGapMovesWhatNeverRan(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, &ape.Options{Identify: asAnn})
		runs := &trail{}
		p.app().Handle("note", ape.Serial(ape.Func(func(_ context.Context, in string) (string, error) { runs.add("%s", in); return in, nil })))
		var ends atomic.Int64
		p.app().Handle("hold", ape.Func(func(ctx context.Context, in string) (string, error) {
			runs.add("%s", in)
			<-ctx.Done()
			ends.Add(1)
			return "", ctx.Err()
		}))
		p.app().Handle("endless", ape.Stream(func(ctx context.Context, _ struct{}) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n := 0; yield(n, nil); n++ {
				}
				ends.Add(1)
			}
		}))
		s := &states{}
		handled := make(chan error, 1)
		c := p.dial(over, &ape.DialOptions{OnState: s.note, Handlers: map[string]ape.Controller{
			"stay": ape.Func(func(ctx context.Context, _ struct{}) (struct{}, error) {
				<-ctx.Done()
				handled <- context.Cause(ctx)
				return struct{}{}, nil
			}),
		}})
		id, client := c.ID(), p.app().Client(c.ID())
		connected := "connected " + string(c.Transport())
		go ape.Invoke[any](t.Context(), client, "stay", nil, ape.Timeout(0))
		running := begin(t, c, "hold", "h")
		streamed := make(chan error, 1)
		go func() {
			for n, err := range ape.InvokeStream[int](t.Context(), c, "endless", nil) {
				if err != nil {
					streamed <- err
					return
				}
				if n == 20 {
					time.Sleep(2 * time.Minute)
				}
			}
		}()
		time.Sleep(30 * time.Second)
		var queued []<-chan outcome
		p.loseSession(c, func() {
			for n := range 5 {
				queued = append(queued, begin(t, c, "note", fmt.Sprint(n)))
				c.Send("note", fmt.Sprint("e", n))
			}
		})
		for n, call := range queued {
			want(t, <-call, n)
		}
		o := <-running
		want(t, ape.CodeOf(o.err), ape.Lost)
		want(t, ape.CodeOf(<-streamed), ape.Lost)
		want(t, errors.Is(<-handled, ape.ErrGone), true)
		want(t, runs, "h 0 e0 1 e1 2 e2 3 e3 4 e4")
		want(t, ends.Load(), 2)
		if c.ID() == id {
			t.Error("the id is the old one")
		}
		got := s.String()
		if last := "|connecting|" + connected + " gap unknown lost [{hold } {endless }]"; len(got) < len(last) || got[len(got)-len(last):] != last {
			t.Errorf("states %s", got)
		}
		ask(t, c, "echo", 1, "1")
	})
}

// The end of a stream without items is queued right behind its call, and moves
// with it.
func TestConnGapMovesTheEndOfAStreamWithoutItems(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		p.app().Handle("sum", ape.Collect(func(_ context.Context, items iter.Seq2[int, error]) (n int, _ error) {
			for v, err := range items {
				if err != nil {
					return 0, err
				}
				n += v
			}
			return n, nil
		}))
		c := p.dial(over, nil)
		none := iter.Seq2[int, error](func(func(int, error) bool) {})
		var sum <-chan outcome
		p.loseSession(c, func() { sum = begin(t, c, "sum", none, ape.Timeout(5*time.Minute)) })
		want(t, <-sum, 0)
	})
}

func TestConnGapBySmallBuffer(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, &ape.Options{MaxMessage: 4 << 10, MaxQueue: 4 << 10})
		s := &states{}
		c := p.dial(over, &ape.DialOptions{OnState: s.note})
		connected := "connected " + string(c.Transport())
		client := p.app().Client(c.ID())
		held := begin(t, c, "wait", nil)
		for range 3 { // written, but nothing says that they have come
			p.app().Publish("big", 1)
			client.Send("big", make([]byte, 3<<10))
			synctest.Wait()
		}
		p.Refuse(true)
		p.Cut()
		synctest.Wait()
		client.Send("big", make([]byte, 3<<10))
		client.Send("big", make([]byte, 3<<10)) // too much: the session ends
		time.Sleep(time.Second)
		p.Refuse(false)
		want(t, ape.CodeOf((<-held).err), ape.Lost)
		got := s.String()
		if suffix := "|connecting|" + connected + " gap unknown lost [{wait }]"; len(got) < len(suffix) || got[len(got)-len(suffix):] != suffix {
			t.Errorf("states %s", got)
		}
	})
}

func TestConnRepeatsKeyedCallsWhereTheyAreKnown(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		for _, same := range []bool{true, false} {
			p := newPlace(t, &ape.Options{Identify: asAnn})
			var runs atomic.Int64
			slow := ape.Func(func(context.Context, struct{}) (int64, error) {
				n := runs.Add(1)
				time.Sleep(100 * time.Second)
				return n, nil
			})
			p.app().Handle("pay", slow)
			s := &states{}
			c := p.dial(over, &ape.DialOptions{OnState: s.note})
			call := begin(t, c, "pay", nil, ape.Key("k1"))
			time.Sleep(30 * time.Second)
			queued := make(chan (<-chan outcome), 1)
			p.loseSession(c, func() {
				if !same {
					old := p.app()
					p.open(&ape.Options{Identify: asAnn}).Handle("pay", slow)
					go old.Shutdown(t.Context())
				}
				queued <- begin(t, c, "pay", nil, ape.Key("k2"))
			})
			o := <-call
			second := <-<-queued
			want(t, second, 2)
			if same {
				// The first one was cancelled with its session, before it ended: it
				// answered all the same, and that answer is the one.
				want(t, o, 1)
				want(t, runs.Load(), 2)
			} else {
				want(t, ape.CodeOf(o.err), ape.Lost)
				want(t, runs.Load(), 2)
			}
			got := s.String()
			lost := "lost []"
			if !same {
				lost = "lost [{pay k1}]"
			}
			if got[len(got)-len(lost):] != lost {
				t.Errorf("states %s", got)
			}
			c.Close()
		}
	})
}

func TestConnDoesNotRepeatAKeyThatIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, &ape.Options{Identify: asAnn, KeyWindow: time.Minute})
		var runs atomic.Int64
		p.app().Handle("pay", ape.Func(func(context.Context, struct{}) (int64, error) {
			n := runs.Add(1)
			time.Sleep(time.Second)
			return n, nil
		}))
		c := p.dial(bySocket, nil)
		call := begin(t, c, "pay", nil, ape.Key("k1"))
		p.loseSession(c, func() {}) // takes more than a minute
		want(t, ape.CodeOf((<-call).err), ape.Lost)
		want(t, runs.Load(), 1)
	})
}

func TestConnRenewsSubscriptionsBehindAGap(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		c := p.dial(over, nil)
		got := &trail{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for v, err := range ape.Subscribe[int](ctx, c, "news") {
				if err != nil {
					return
				}
				got.add("%d", v)
			}
		}()
		time.Sleep(time.Second)
		p.app().Publish("news", 1)
		want(t, got, "1")
		p.loseSession(c, func() { p.app().Publish("news", 2); p.app().Publish("news", 3) })
		time.Sleep(2 * time.Minute)
		want(t, got, "3") // the last value
		p.app().Publish("news", 4)
		want(t, got, "4")
		cancel()
		<-done
	})
}

// The ids of a new session begin again: what still runs for the old one must not
// answer a call of the new one.
func TestConnGapLetsGoOfTheServersCalls(t *testing.T) {
	eachRoad(t, func(t *testing.T, over road) {
		p := newPlace(t, nil)
		deaf, hold := make(chan struct{}), make(chan struct{})
		c := p.dial(over, &ape.DialOptions{Handlers: map[string]ape.Controller{
			"deaf": ape.Func(func(context.Context, struct{}) (string, error) { <-deaf; return "of the old session", nil }),
			"hold": ape.Func(func(context.Context, struct{}) (string, error) { <-hold; return "of the new session", nil }),
		}})
		call := func(path string) <-chan outcome {
			client, done := p.app().Client(c.ID()), make(chan outcome, 1)
			go func() {
				out, err := ape.Invoke[string](t.Context(), client, path, nil, ape.Timeout(0))
				done <- outcome{out, err}
			}()
			synctest.Wait()
			return done
		}
		old := call("deaf")
		time.Sleep(30 * time.Second)
		p.loseSession(c, func() {})
		want(t, (<-old).err == ape.ErrGone, true)
		time.Sleep(2 * time.Minute)
		now := call("hold")
		time.Sleep(30 * time.Second)
		close(deaf)
		time.Sleep(time.Minute)
		close(hold)
		want(t, <-now, "of the new session")
	})
}
