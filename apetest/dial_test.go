package apetest_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/apetest"
)

func greeter() *ape.Server {
	app := ape.New(nil)
	app.Handle("hello", ape.Func(func(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil }))
	return app
}

func hello(t *testing.T, c *ape.Conn) {
	t.Helper()
	got, err := ape.Invoke[string](t.Context(), c, "hello", "Ann", ape.Timeout(time.Minute)) // longer than it waits between attempts
	if got != "Hello, Ann!" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestDialGoesOnBehindFaults(t *testing.T) {
	for _, transport := range []ape.Transport{ape.WebSocket, ape.Streaming} {
		t.Run(string(transport), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := greeter()
				s := apetest.New(t, app)
				c := s.Dial(t, &ape.DialOptions{Transport: transport})
				hello(t, c)
				want(t, c.Transport(), transport)

				s.Cut()
				hello(t, c)
				s.Delay(time.Second)
				hello(t, c)
				s.Delay(0)
				s.Refuse(true)
				s.Cut()
				go func() {
					time.Sleep(5 * time.Second)
					s.Refuse(false)
				}()
				hello(t, c)
				want(t, app.Stats().Sessions, 1)
			})
		})
	}
}

func TestDialEndsWithItsTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := greeter()
		s := apetest.New(t, app)
		inner := newTest(t)
		c := s.Dial(inner, nil)
		want(t, app.Online(), 1)
		inner.end()
		<-c.Done()
		synctest.Wait()
		want(t, app.Online(), 0)
		want(t, inner.failures, []string{})
	})
}

func TestDialFailsItsTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apetest.New(t, greeter())
		s.Refuse(true)
		inner := newTest(t)
		func() {
			defer func() { recover() }()
			s.Dial(inner, nil)
		}()
		if len(inner.failures) != 1 || !strings.Contains(inner.failures[0], "connection refused") {
			t.Errorf("failures: %q", inner.failures)
		}
	})
}

func TestDialTakesADialContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		s := apetest.New(t, greeter())
		hello(t, s.Dial(t, &ape.DialOptions{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return s.DialContext(ctx, network, address)
		}}))
		want(t, int(dials.Load()), s.Dials())
	})
}
