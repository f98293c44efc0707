package ape_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/apetest"
)

// overTransports runs a test in a bubble, with a Go client over either transport.
func overTransports(t *testing.T, test func(t *testing.T, o *ape.DialOptions)) {
	for _, transport := range []ape.Transport{ape.WebSocket, ape.Streaming} {
		t.Run(string(transport), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, &ape.DialOptions{Transport: transport}) })
		})
	}
}

func TestOnAwayTellsWhoHasNoConnection(t *testing.T) {
	overTransports(t, func(t *testing.T, o *ape.DialOptions) {
		var told []string
		app := ape.New(&ape.Options{
			OnAway:       func(c *ape.Client, away bool) { told = append(told, fmt.Sprint(away, " ", c.Attached())) },
			OnDisconnect: func(*ape.Client, error) { told = append(told, "gone") },
		})
		srv := apetest.New(t, app)
		c := srv.Dial(t, o)
		synctest.Wait()
		want(t, fmt.Sprint(told), "[]")
		srv.Refuse(true)
		srv.Cut()
		synctest.Wait()
		want(t, fmt.Sprint(told), "[true false]")
		srv.Refuse(false)
		if _, err := ape.Invoke[any](t.Context(), c, "nothing", nil, ape.Timeout(time.Minute)); ape.CodeOf(err) != ape.NotFound {
			t.Fatal(err)
		}
		synctest.Wait()
		want(t, fmt.Sprint(told), "[true false false true]")
		c.Close()
		synctest.Wait()
		want(t, fmt.Sprint(told), "[true false false true gone]")
	})
}

func TestVolatileLeavesOutWhoWouldGetItLate(t *testing.T) {
	overTransports(t, func(t *testing.T, o *ape.DialOptions) {
		app := ape.New(nil)
		app.Handle("sync", ape.Do(func(context.Context, struct{}) error { return nil }))
		srv := apetest.New(t, app)
		c := srv.Dial(t, o)
		var got []int
		ape.On(c, "at", func(n int) { got = append(got, n) })
		send := func(n int, opts ...ape.SendOption) {
			if err := app.Broadcast("at", n, opts...); err != nil {
				t.Fatal(err)
			}
		}
		send(1, ape.Volatile())
		synctest.Wait()
		srv.Refuse(true)
		srv.Cut()
		synctest.Wait()
		send(2, ape.Volatile())
		send(3)
		srv.Refuse(false)
		if _, err := ape.Invoke[any](t.Context(), c, "sync", nil, ape.Timeout(time.Minute)); err != nil {
			t.Fatal(err)
		}
		send(4, ape.Volatile())
		synctest.Wait()
		want(t, fmt.Sprint(got), "[1 3 4]")
	})
}
