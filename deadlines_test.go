package ape_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// stubborn ignores its context: it runs until it is told to go on.
type stubborn struct {
	ran atomic.Int64
	on  chan string // what it answers
	ctx chan context.Context
}

func newStubborn() *stubborn {
	return &stubborn{on: make(chan string), ctx: make(chan context.Context, 100)}
}

func (k *stubborn) controller() ape.Controller {
	return ape.Get(func(ctx context.Context) (string, error) {
		k.ran.Add(1)
		k.ctx <- ctx
		return <-k.on, nil
	})
}

func TestAStubbornControllerIsAnsweredForAtTheDeadline(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		var seen diary
		s := newSite(t, &ape.Options{Observer: &ape.Observer{Call: func(i ape.CallInfo) { seen.add(fmt.Sprint(i.Code, " ", i.Duration)) }}})
		k := newStubborn()
		s.app.Handle("stay", k.controller())
		p := s.pen(w, "")
		begin := time.Now()
		p.asks("c 1 stay;t=3000", "e 1 deadline")
		want(t, time.Since(begin), 3*time.Second)
		ctx := <-k.ctx
		want(t, ctx.Err(), context.DeadlineExceeded)
		want(t, s.app.Stats().Late, 0)
		p.write("x 1", "n 1 1", "z 1", "g 1 1") // they crossed
		time.Sleep(time.Second)
		k.on <- "late"
		p.none()
		want(t, s.app.Stats().Late, 1)
		want(t, s.app.Stats().Failed, 1)
		want(t, seen.take(), "deadline 4s")
		// In time is in time.
		p.write("c 3 stay;t=3000")
		time.Sleep(2999 * time.Millisecond)
		k.on <- "in time"
		p.wants(`r 3 "in time"`)
		time.Sleep(time.Minute)
		p.none()
		want(t, s.app.Stats().Late, 1)
	})
}

func TestAStubbornControllerKeepsItsPlace(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxRunning: 1, MaxCalls: 3})
		k := newStubborn()
		s.app.Handle("stay", k.controller())
		p := s.pen(w, "")
		p.write("c 1 stay;t=1000")
		synctest.Wait()
		p.write("c 3 stay;t=2000", "c 5 stay;t=500", "c 7 stay")
		p.wants("e 7 busy", "e 5 deadline", "e 1 deadline", "e 3 deadline")
		want(t, k.ran.Load(), 1)
		p.write("c 9 stay")
		p.none()
		k.on <- "late"
		synctest.Wait()
		want(t, k.ran.Load(), 2)
		k.on <- "good"
		p.wants(`r 9 "good"`)
		want(t, s.app.Stats().Late, 1)
	})
}

func TestCallsThatWaitHaveDeadlinesToo(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		k := newStubborn()
		s.app.Handle("lane", ape.Serial(k.controller()))
		p := s.pen(w, "")
		p.write("c 1 lane")
		synctest.Wait()
		p.write("c 3 lane;t=2000", "c 5 lane", "c 7 lane;t=1000", "c 9 lane;t=60000")
		p.wants("e 7 deadline", "e 3 deadline")
		p.asks("x 5", "e 5 cancelled")
		k.on <- "first"
		p.wants(`r 1 "first"`)
		synctest.Wait()
		want(t, k.ran.Load(), 2) // the last one
		k.on <- "last"
		p.wants(`r 9 "last"`)
		want(t, s.app.Stats().Late, 0)
	})
}

func TestManyDeadlinesRingInTheirOrder(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxRunning: 100})
		k := newStubborn()
		s.app.Handle("stay", k.controller())
		s.app.Handle("echo", ape.Func(func(_ context.Context, in any) (any, error) { return in, nil }))
		p := s.pen(w, "")
		begin := time.Now()
		at := map[string]time.Duration{}
		for i, ms := range []int{5000, 9000, 3000, 3000, 70, 4000, 1, 9007199254740991} {
			id := fmt.Sprint(2*i + 1)
			p.write(fmt.Sprintf("c %s stay;t=%d", id, ms))
			at["e "+id+" deadline"] = time.Since(begin) + time.Duration(ms)*time.Millisecond
		}
		p.asks("c 101 echo;t=100 1", "r 101 1") // answered, so that nothing rings for it
		for range 3 {
			line := p.next()
			want(t, time.Since(begin), at[line])
			delete(at, line)
		}
		p.write("c 103 stay;t=200") // a later call with an earlier end
		at["e 103 deadline"] = time.Since(begin) + 200*time.Millisecond
		for len(at) > 1 {
			line := p.next()
			want(t, time.Since(begin), at[line])
			delete(at, line)
		}
		time.Sleep(time.Hour)
		p.none()
		for range 9 {
			k.on <- "at last"
		}
		p.wants(`r 15 "at last"`)
		synctest.Wait()
		want(t, s.app.Stats().Late, 8)
	})
}

func TestDeadlinesGoOnWithoutAConnection(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		k := newStubborn()
		s.app.Handle("stay", k.controller())
		p := s.pen(w, "")
		p.write("c 1 stay;t=3000", "c 3 stay;t=300000")
		synctest.Wait()
		p.cut()
		time.Sleep(5 * time.Second)
		p.connect(w.other())
		p.wants("e 1 deadline")
		p.cut()
		time.Sleep(61 * time.Second) // the session ends, and with it what rings
		for range 2 {
			k.on <- "late"
		}
		synctest.Wait()
		want(t, s.app.Online(), 0)
		want(t, s.app.Stats().Late, 1)
	})
}

func TestADeadlineIsTheContexts(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("heed", ape.Get(func(ctx context.Context) (any, error) {
			at, _ := ctx.Deadline()
			begin := time.Now()
			<-ctx.Done()
			if time.Since(begin) != time.Until(at)+time.Since(begin) || ctx.Err() != context.DeadlineExceeded {
				t.Errorf("the context ends with %v", ctx.Err())
			}
			return nil, fmt.Errorf("waiting: %w", ctx.Err())
		}))
		p := s.pen(w, "")
		for i := range 20 { // the controller or the alarm may come first
			begin := time.Now()
			p.asks(fmt.Sprintf("c %d heed;t=1500", 2*i+1), fmt.Sprintf("e %d deadline", 2*i+1))
			want(t, time.Since(begin), 1500*time.Millisecond)
		}
		p.none()
		p.asks("c 101 heed;t=-1", "e 101 malformed")
		p.asks("c 103 heed;t=1.5", "e 103 malformed")
		p.asks("c 105 heed;t", "e 105 malformed")
	})
}

func TestACallThatIsCancelledWhileItWaitsDoesNotRun(t *testing.T) {
	eachLine(t, func(t *testing.T, w way) {
		var seen diary
		s := newSite(t, &ape.Options{MaxRunning: 1, Observer: &ape.Observer{Call: func(i ape.CallInfo) { seen.add(i.Code) }}})
		k := newStubborn()
		s.app.Handle("stay", k.controller())
		p := s.pen(w, "")
		p.write("c 1 stay")
		synctest.Wait()
		p.write("c 3 stay", "c 5 stay", "c 7 stay")
		p.asks("x 5", "e 5 cancelled")
		want(t, seen.take(), "cancelled")
		p.write("x 5", "x 5")
		p.asks("x 3", "e 3 cancelled")
		k.on <- "1"
		p.wants(`r 1 "1"`)
		k.on <- "7"
		p.wants(`r 7 "7"`)
		want(t, k.ran.Load(), 2)
		// One that ignores it answers when it likes, and once.
		p.write("c 9 stay")
		synctest.Wait()
		p.write("x 9", "x 9")
		p.none()
		k.on <- "anyway"
		p.wants(`r 9 "anyway"`)
		want(t, s.app.Stats().Late, 0)
	})
}
