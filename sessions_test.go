package ape_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

func TestAnIdleClientStaysConnected(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		one(s.app, "one")
		u := s.join(w)
		time.Sleep(24 * time.Hour)
		want(t, u.call("one", ""), "1")
		want(t, s.app.Stats().Sessions, 1)
		want(t, s.app.Stats().Resumed, 0)
	})
}

func TestASilentClientIsGivenUp(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		var d diary
		s := newSite(t, &ape.Options{Heartbeat: 10 * time.Second, OnDisconnect: func(_ *ape.Client, why error) { d.add(why) }})
		u := s.join(w)
		begin := time.Now()
		if l, ok := u.(*lineUser); ok {
			l.mute = true
			want(t, u.end(), "idle")
			if silent := time.Since(begin); silent < 30*time.Second || silent > 40*time.Second {
				t.Errorf("closed after %v", silent)
			}
			synctest.Wait()
			want(t, s.client(u).Attached(), false)
			want(t, l.connect(w.transport), "")
			want(t, l.welcome.Gap, "")
			want(t, d.take(), "")
			return
		}
		u.(*classicUser).vanish()
		time.Sleep(time.Minute)
		want(t, d.take(), "ape: session ended: idle: nothing was heard from the client")
		want(t, s.app.Online(), 0)
	}, classicSocket, lineSocket, lineStream)
}

func TestASessionResumesOverEitherTransport(t *testing.T) {
	for _, from := range []way{lineSocket, lineStream} {
		overWays(t, func(t *testing.T, to way) {
			connects := 0
			s := newSite(t, &ape.Options{OnConnect: func(ctx context.Context, _ *ape.Client, _ *http.Request) (context.Context, error) {
				connects++
				return context.WithValue(ctx, point{}, "kept"), nil
			}})
			s.app.Handle("who", ape.Get(func(ctx context.Context) (any, error) { return ctx.Value(point{}), nil }))
			s.app.Handle("slow", ape.Get(func(ctx context.Context) (any, error) { time.Sleep(20 * time.Second); return "done", ctx.Err() }))
			u := s.join(from).(*lineUser)
			id := u.id()
			c := s.client(u)
			want(t, u.subscribe("news"), "undefined")
			slow := u.begin("slow", "")
			synctest.Wait()
			for range 3 {
				u.cut()
				want(t, c.Attached(), false)
				want(t, c.Transport(), ape.Detached)
				for i := range 3 {
					want(t, c.Send("tick", i), nil)
					want(t, s.app.Publish("news", i), nil)
				}
				late := u.begin("who", "") // while it has no connection
				time.Sleep(10 * time.Second)
				want(t, u.connect(to.transport), "")
				want(t, u.id(), id)
				want(t, u.welcome.Gap, "")
				want(t, c.Transport(), to.transport)
				for i := range 3 {
					want(t, u.next(), fmt.Sprint("tick ", i))
					want(t, u.next(), fmt.Sprint("/news ", i))
				}
				want(t, u.wait(late), `"kept"`)
			}
			want(t, u.wait(slow), `"done"`)
			want(t, connects, 1)
			want(t, s.app.Stats().Resumed, 3)
			u.none()
		}, lineSocket, lineStream)
	}
}

func TestASessionEndsAfterTheResumeWindow(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		var d diary
		s := newSite(t, &ape.Options{ResumeWindow: 20 * time.Second, OnDisconnect: func(_ *ape.Client, why error) { d.add(why) }})
		s.app.Handle("wait", ape.Get(func(ctx context.Context) (int, error) { <-ctx.Done(); d.add("stopped"); return 0, nil }))
		u := s.join(w).(*lineUser)
		u.subscribe("news")
		for range 3 { // coming back begins the window anew
			u.cut()
			time.Sleep(19 * time.Second)
			want(t, u.connect(w.transport), "")
			want(t, u.welcome.Gap, "")
			time.Sleep(10 * time.Second)
		}
		u.begin("wait", "")
		synctest.Wait()
		u.cut()
		time.Sleep(20*time.Second + time.Millisecond)
		if got := d.take(); !strings.Contains(got, "stopped") || !strings.Contains(got, "lost: the client did not come back") {
			t.Errorf("got %s", got)
		}
		want(t, s.app.Online(), 0)
		want(t, s.app.Subscribers("news"), 0)
		want(t, u.connect(w.transport), "")
		want(t, u.welcome.Gap, "unknown")
	}, lineSocket, lineStream)
}

func TestAClientThatLeavesEndsItsSession(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.join(w)
		u.close()
		if w == classicStream { // a page cannot say so; it may be back
			want(t, s.app.Online(), 1)
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		want(t, s.app.Online(), 0)
		want(t, s.app.Stats().QueuedBytes, 0)
	})
}

func TestAnotherIdentityDoesNotGetASession(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		cookie := testCookie(t, s)
		login := func(v string) http.Header { return http.Header{"Cookie": {"sessionId=" + v}} }
		u := s.joinAs(w, browser{cookie: cookie, header: login("ann"), hello: `"auth":1`}).(*lineUser)
		token, id := u.token, u.id()
		for _, b := range []browser{
			{cookie: cookie, header: login("eve"), hello: `"auth":1`},
			{cookie: cookie, header: login("ann"), hello: `"auth":2`},
			{cookie: testCookie(t, s), header: login("ann"), hello: `"auth":1`},
			{header: login("ann"), hello: `"auth":1`},
			{cookie: cookie, hello: `"auth":1`},
		} {
			thief := newLineUser(s, b)
			thief.token = token
			want(t, thief.connect(w.transport), "")
			want(t, thief.welcome.Gap, "unknown")
			want(t, thief.id() != id, true)
		}
		u.cut()
		want(t, u.connect(w.transport), "")
		want(t, u.welcome.Gap, "")
		want(t, u.id(), id)
	}, lineSocket, lineStream)
}

func TestAPostNeedsTheSessionsCookie(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		one(s.app, "one")
		u := s.joinAs(w, browser{cookie: testCookie(t, s)}).(*lineUser)
		real := u.b.cookie
		for _, cookie := range []string{"", testCookie(t, s)} {
			u.b.cookie = cookie
			want(t, u.post("c 1 one", 1), "410")
		}
		u.b.cookie = real
		want(t, u.call("one", ""), "1")
	}, lineStream)
}

func TestACutInTheMidstOfManyMessagesLosesNothing(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var calls []int
		s.app.Handle("add", ape.Serial(ape.Do(func(_ context.Context, n int) error { calls = append(calls, n); return nil })))
		u := s.join(w).(*lineUser)
		c := s.client(u)
		var wanted []int
		var answers []<-chan result
		for i := range 100 {
			c.Send("tick", i)
			answers = append(answers, u.begin("add", fmt.Sprint(i)))
			wanted = append(wanted, i)
			if i%9 == 8 {
				u.cut()
			}
			if i%9 == 8 || i%9 == 4 {
				want(t, u.connect([]ape.Transport{ape.WebSocket, ape.Streaming}[i%2]), "")
				want(t, u.welcome.Gap, "")
			}
		}
		for i, a := range answers {
			want(t, u.wait(a), "undefined")
			want(t, u.next(), fmt.Sprint("tick ", i))
			for strings.HasPrefix(peek(u), "quit replaced") {
				u.next()
			}
		}
		want(t, calls, wanted)
	}, lineSocket, lineStream)
}

// peek is the push that next would return, "" when there is none.
func peek(u *lineUser) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.pushes) == 0 {
		return ""
	}
	return u.pushes[0]
}

func TestAClientThatIsAskedToReconnectIsHeldUntilItIsLate(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		one(s.app, "one")
		u := s.join(w).(*lineUser)
		begin := time.Now()
		s.client(u).Reconnect(10 * time.Second)
		want(t, u.next(), "quit restart resume")
		want(t, u.call("one", ""), "1")
		want(t, u.end(), "restart")
		want(t, time.Since(begin), 15*time.Second)
		want(t, u.connect(w.transport), "")
		want(t, u.welcome.Gap, "")
		s.client(u).Reconnect(10 * time.Second)
		want(t, u.connect(w.transport), "") // it obeys
		time.Sleep(time.Minute)
		want(t, u.call("one", ""), "1")
	}, lineSocket, lineStream)
}

func TestALongReasonIsCutBetweenCharacters(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.join(w)
		s.client(u).Close(ape.CloseKicked, strings.Repeat("ä", 200))
		want(t, u.end(), "kicked")
	}, classicSocket, lineSocket, lineStream)
}
