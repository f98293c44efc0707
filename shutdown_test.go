package ape_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

func TestShutdownTellsClientsAndWaitsForCalls(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("slow", ape.Get(func(ctx context.Context) (string, error) { time.Sleep(20 * time.Second); return "done", ctx.Err() }))
		busy, idle := s.join(w), s.join(w)
		answer := busy.begin("slow", "")
		synctest.Wait()
		done := make(chan error, 1)
		begin := time.Now()
		go func() { done <- s.app.Shutdown(context.Background()) }()
		synctest.Wait()
		_, refused := s.tryJoin(w, browser{cookie: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})
		if refused == "" {
			t.Error("a new client was let in")
		}
		want(t, s.do(t, "GET", "/api/ape/ping", nil, "").StatusCode, 503)
		if !w.classic() {
			want(t, idle.next(), "quit restart resume")
			want(t, busy.next(), "quit restart resume")
		}
		if w.classic() { // an idle one goes at a random moment of DrainWindow
			if code := idle.end(); w == classicSocket {
				want(t, code, "away")
			}
			if at := time.Since(begin); at > 5*time.Second {
				t.Errorf("the idle client was sent away after %v", at)
			}
		}
		want(t, busy.(interface{ wait(<-chan result) result }).wait(answer), `"done"`)
		want(t, time.Since(begin), 20*time.Second)
		if !w.classic() {
			want(t, idle.end(), "restart")
		}
		want(t, <-done, nil)
		want(t, s.app.Online(), 0)
		want(t, s.app.Shutdown(context.Background()), nil)
		want(t, s.app.Stats().QueuedBytes, 0)
	})
}

func TestShutdownWithoutClientsReturnsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		begin := time.Now()
		want(t, s.app.Shutdown(context.Background()), nil)
		want(t, time.Since(begin), time.Duration(0))
	})
}

func TestShutdownReturnsAsSoonAsEverybodyHasLeft(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{DrainWindow: time.Hour})
		u := s.join(w)
		done := make(chan error, 1)
		begin := time.Now()
		go func() { done <- s.app.Shutdown(context.Background()) }()
		time.Sleep(10 * time.Second)
		u.close()
		want(t, <-done, nil)
		if took := time.Since(begin); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("Shutdown took %v", took)
		}
	}, lineSocket, lineStream)
}

func TestShutdownDoesNotWaitLongerThanItsContext(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		free := make(chan struct{})
		var cause error
		s.app.Handle("stubborn", ape.Get(func(ctx context.Context) (int, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			<-free
			return 1, nil
		}))
		u := s.join(w)
		u.begin("stubborn", "")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		begin := time.Now()
		err := s.app.Shutdown(ctx)
		want(t, time.Since(begin), 8*time.Second)
		synctest.Wait()
		want(t, errors.Is(err, context.DeadlineExceeded), true)
		if !errors.Is(cause, ape.ErrGone) {
			t.Errorf("the call's context ended with %v", cause)
		}
		again := make(chan error, 1)
		go func() { again <- s.app.Shutdown(context.Background()) }()
		synctest.Wait()
		select {
		case err := <-again:
			t.Errorf("the second Shutdown did not wait: %v", err)
		default:
		}
		close(free)
		want(t, <-again, nil)
	})
}

func TestShutdownRefusesAClientThatIsStillInOnConnect(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		inside, free := make(chan struct{}), make(chan struct{})
		var d diary
		s := newSite(t, &ape.Options{
			OnConnect: func(ctx context.Context, _ *ape.Client, _ *http.Request) (context.Context, error) {
				close(inside)
				<-free
				return ctx, nil
			},
			OnDisconnect: func(*ape.Client, error) { d.add("disconnected") },
		})
		breakOff := halfway(s, w)
		<-inside
		done := make(chan error, 1)
		go func() { done <- s.app.Shutdown(context.Background()) }()
		synctest.Wait()
		close(free)
		begin := time.Now()
		want(t, <-done, nil)
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		breakOff()
		want(t, s.app.Online(), 0)
		want(t, d.take(), "")
	})
}

func TestShutdownDoesNotWaitForAHello(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, &ape.Options{HandshakeTimeout: time.Hour})
		ws := rawSocket(t, s, "ape.1", nil)
		ws.read() // an empty line
		ended := make(chan int, 1)
		go func() { ended <- ws.end() }()
		begin := time.Now()
		want(t, s.app.Shutdown(context.Background()), nil)
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		want(t, <-ended, int(ape.CloseUnavailable))
	})
}

func TestNothingIsServedAfterShutdown(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		one(s.app, "one")
		u := s.join(w)
		c := s.client(u)
		now, cancel := context.WithCancel(context.Background())
		cancel()
		s.app.Shutdown(now)
		u.end()
		want(t, s.app.Shutdown(context.Background()), nil)
		_, refused := s.tryJoin(w, browser{cookie: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})
		if w.classic() || w == lineSocket {
			want(t, fmt.Sprint(refused != ""), "true")
		} else {
			want(t, refused, "unavailable")
		}
		want(t, c.Send("x", 1), ape.ErrGone)
		want(t, s.app.Broadcast("x", 1), nil)
		want(t, s.app.Publish("x", 1), nil)
	})
}
