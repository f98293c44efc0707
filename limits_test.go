package ape_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// retryAfter is the time that a busy answer names.
func retryAfter(t *testing.T, r result) time.Duration {
	t.Helper()
	var data struct{ RetryAfter int64 }
	if r.code != ape.Busy || json.Unmarshal([]byte(r.data), &data) != nil || data.RetryAfter <= 0 {
		t.Fatalf("got %v, want busy with retryAfter", r)
	}
	return time.Duration(data.RetryAfter) * time.Millisecond
}

func one(app *ape.Server, path string) {
	app.Handle(path, ape.Get(func(context.Context) (int, error) { return 1, nil }))
}

func TestRateLimitsTheCallsOfOneClient(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{Rate: ape.Rate{PerSecond: 2, Burst: 3}})
		one(s.app, "one")
		u, other := s.join(w), s.join(w)
		for range 3 {
			want(t, u.call("one", ""), "1")
		}
		wait := retryAfter(t, u.call("one", ""))
		want(t, wait, 500*time.Millisecond)
		want(t, other.call("one", ""), "1")
		time.Sleep(wait)
		want(t, u.call("one", ""), "1")
		want(t, u.call("one", "").code, ape.Busy)
	})
}

func TestARateWithoutABurstStillAllowsCalls(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		for _, rate := range []ape.Rate{{PerSecond: 5}, {Burst: 5}, {PerSecond: 0.1}, {PerSecond: -1}} {
			s := newSite(t, &ape.Options{Rate: rate})
			one(s.app, "one")
			u := s.join(w)
			want(t, u.call("one", ""), "1")
			time.Sleep(time.Minute)
			want(t, u.call("one", ""), "1")
		}
	})
}

func TestRateLimitMiddlewareCountsItsOwnControllers(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		slow := s.app.Group("slow", ape.RateLimit(1, 2))
		one(s.app, "free")
		slow.Handle("a", ape.Get(func(context.Context) (int, error) { return 1, nil }))
		slow.Handle("b", ape.Get(func(context.Context) (int, error) { return 2, nil }))
		u, other := s.join(w), s.join(w)
		want(t, u.call("slow/a", ""), "1")
		want(t, u.call("slow/b", ""), "2")
		want(t, retryAfter(t, u.call("slow/a", "")), time.Second)
		want(t, u.call("free", ""), "1")
		want(t, other.call("slow/a", ""), "1")
		time.Sleep(time.Second)
		want(t, u.call("slow/b", ""), "2")
	})
}

func TestCallsAboveMaxRunningWaitInOrder(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		next := make(chan struct{})
		var began []int
		s.app.Handle("hold", ape.Do(func(_ context.Context, n int) error {
			began = append(began, n)
			<-next
			return nil
		}))
		u := s.join(w)
		var answers []<-chan result
		var wanted []int
		for i := range 40 {
			answers = append(answers, beginInOrder(u, "hold", fmt.Sprint(i)))
			wanted = append(wanted, i)
			want(t, len(began), min(i+1, 16))
		}
		for range 40 {
			next <- struct{}{}
			synctest.Wait()
		}
		for _, a := range answers {
			want(t, (<-a).code, "")
		}
		slices.Sort(began[:16]) // those ran at once
		want(t, began, wanted)
	})
}

func TestALaneDoesNotOvertakeCallsThatWait(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxRunning: 1})
		var began []string
		next := make(chan struct{})
		hold := ape.ControllerFunc(func(_ context.Context, c *ape.Call) (any, error) {
			began = append(began, c.Path())
			<-next
			return nil, nil
		})
		s.app.Handle("lane", ape.Serial(hold))
		s.app.Handle("free", hold)
		u := s.join(w)
		var answers []<-chan result
		for _, path := range []string{"lane", "lane", "free", "lane", "free"} {
			answers = append(answers, beginInOrder(u, path, ""))
		}
		for range answers {
			next <- struct{}{}
			synctest.Wait()
		}
		for _, a := range answers {
			<-a
		}
		want(t, began, "[lane free free lane lane]")
	})
}

func TestCallsAboveMaxCallsAreBusy(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxCalls: 20})
		free := make(chan struct{})
		s.app.Handle("hold", ape.Get(func(context.Context) (int, error) { <-free; return 1, nil }))
		u, other := s.join(w), s.join(w)
		var answers []<-chan result
		for range 20 {
			answers = append(answers, beginInOrder(u, "hold", ""))
		}
		retryAfter(t, u.call("hold", ""))
		retryAfter(t, u.call("unknown", ""))
		want(t, other.call("unknown", "").code, ape.NotFound)
		close(free)
		for _, a := range answers {
			want(t, <-a, "1")
		}
		want(t, u.call("hold", ""), "1")
	})
}

func TestATooLargeCallIsAnsweredAndTheConnectionLives(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxMessage: 4096})
		s.app.Handle("size", ape.Func(func(_ context.Context, text string) (int, error) { return len(text), nil }))
		u := s.join(w)
		text := func(n int) string { return `"` + strings.Repeat("ä", n/2) + `"` }
		want(t, u.call("size", text(3900)), "3900")
		for _, n := range []int{4096, 4200, 10000, 60000} {
			want(t, u.call("size", text(n)).code, ape.TooLarge)
			want(t, u.call("size", text(3900)), "3900")
		}
		want(t, s.app.Stats().TooLarge, 4)
		want(t, s.app.Online(), 1)
	})
}

func TestAMessageFarAboveTheLimitEndsTheConnection(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		var ended error
		s := newSite(t, &ape.Options{MaxMessage: 4096, OnDisconnect: func(_ *ape.Client, why error) { ended = why }})
		one(s.app, "one")
		u := s.join(w)
		u.begin("one", `"`+strings.Repeat("x", 17*4096)+`"`)
		if w.classic() {
			want(t, u.end(), "too_big")
		} else {
			want(t, u.end(), "ended")
		}
		synctest.Wait()
		want(t, s.app.Online(), 0)
		if ended == nil || !strings.Contains(ended.Error(), "far above the limit") {
			t.Errorf("OnDisconnect was told %v", ended)
		}
	}, classicSocket, lineSocket)
}

func TestAPostFarAboveTheLimitIsRefused(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxMessage: 4096})
		one(s.app, "one")
		u := s.join(w)
		long := `"` + strings.Repeat("x", 17*4096) + `"`
		if c, ok := u.(*classicUser); ok {
			status, _ := c.post(c.document("one", long))
			want(t, status, 413)
		} else {
			want(t, u.(*lineUser).post("c 1 one "+long, 1), "413 0")
		}
		want(t, u.call("one", ""), "1")
	}, classicStream, lineStream)
}

func TestAResultThatTheClientCannotTakeIsTooLarge(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("text", ape.Func(func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil }))
		s.app.Handle("bytes", ape.Func(func(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil }))
		s.app.Handle("error", ape.Func(func(_ context.Context, n int) (int, error) {
			return 0, ape.Errorf("own", "%s", strings.Repeat("x", n))
		}))
		u := s.joinAs(w, browser{hello: `"limits":{"line":4096}`})
		most := 1 << 20
		if !w.classic() {
			most = 4096
		}
		if r := u.call("text", fmt.Sprint(most-100)); len(r.value) != most-98 {
			t.Errorf("got %v", r.code)
		}
		want(t, u.call("text", fmt.Sprint(most)).code, ape.TooLarge)
		want(t, u.call("bytes", fmt.Sprint(most)).code, ape.TooLarge)
		if r := u.call("error", fmt.Sprint(2*most)); r.code != "own" || len(r.text) > 100 {
			t.Errorf("an error that the client cannot take: got %s, %d bytes of text", r.code, len(r.text))
		}
		want(t, u.call("text", "1"), `"x"`)
	})
}

func TestASendThatTheClientCannotTakeIsTooLarge(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxQueue: 4 << 20})
		u := s.joinAs(w, browser{hello: `"limits":{"line":4096}`})
		want(t, ape.CodeOf(s.client(u).Send("big", strings.Repeat("x", 1<<20))), ape.TooLarge)
		want(t, s.client(u).Send("small", 1), nil)
		want(t, u.next(), "small 1")
	})
}
