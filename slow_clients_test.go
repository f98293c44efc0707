package ape_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

func TestASlowClientIsClosedWhileOthersAreServed(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var d diary
		s := newSite(t, &ape.Options{MaxMessage: 4096, MaxQueue: 64 << 10, WriteTimeout: time.Hour, Heartbeat: time.Hour,
			OnDisconnect: func(_ *ape.Client, why error) { d.add(why) }})
		slow := s.joinAs(w, browser{deaf: true})
		var others []user
		for range 2 {
			others = append(others, s.join(w))
		}
		begin := time.Now()
		for i := range 1000 {
			if err := s.app.Broadcast("tick", strings.Repeat("x", 1000)); err != nil {
				t.Fatal(err)
			}
			for _, u := range others {
				if got := u.next(); len(got) != 1007 {
					t.Fatalf("message %d: got %d bytes", i, len(got))
				}
			}
		}
		want(t, time.Since(begin), time.Duration(0)) // nobody waited
		synctest.Wait()
		want(t, s.app.Stats().Slow, 1)
		if w == classicStream {
			want(t, d.take(), "") // its other tabs may be well
			slow.end()
			return
		}
		want(t, d.take(), "ape: session ended: slow: the client is too far behind (Options.MaxQueue)")
		want(t, s.app.Online(), 2)
		if !w.classic() { // it may come back, and is told that it has missed something
			u := slow.(*lineUser)
			u.end()
			want(t, u.connect(w.transport), "")
			want(t, u.welcome.Gap, "unknown")
		}
	})
}

func TestAnswersWaitForASlowClient(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxMessage: 4096, MaxQueue: 32 << 10, WriteTimeout: time.Hour, Heartbeat: time.Hour})
		s.app.Handle("big", ape.Get(func(context.Context) (string, error) { return strings.Repeat("x", 10_000), nil }))
		u := s.joinAs(w, browser{deaf: true})
		var answers []<-chan result
		for range 60 {
			answers = append(answers, u.begin("big", ""))
		}
		synctest.Wait()
		want(t, s.app.Stats().Slow, 0)
		u.(interface{ listen() }).listen()
		for _, a := range answers {
			if r := <-a; len(r.value) != 10_002 {
				t.Fatalf("got %v", r.code)
			}
		}
	}, classicSocket, lineSocket, lineStream)
}

func TestWaitingAnswersCountAsOpenCalls(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxMessage: 4096, MaxQueue: 8192, MaxCalls: 30, WriteTimeout: time.Hour, Heartbeat: time.Hour})
		runs := 0
		s.app.Handle("big", ape.Serial(ape.Get(func(context.Context) (string, error) { runs++; return strings.Repeat("x", 10_000), nil })))
		u := s.joinAs(w, browser{deaf: true}).(*lineUser)
		for range 200 {
			u.begin("big", "")
			synctest.Wait()
		}
		if runs > 60 { // 30, and what the network and the queue hold
			t.Errorf("%d calls ran for a client that reads nothing", runs)
		}
	}, lineSocket, lineStream)
}

func TestAClientThatReadsNothingIsGivenUpAfterWriteTimeout(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxQueue: 1 << 20, WriteTimeout: 7 * time.Second, ResumeWindow: time.Second})
		u := s.joinAs(w, browser{deaf: true})
		for range 300 {
			s.app.Broadcast("tick", strings.Repeat("x", 1000))
		}
		time.Sleep(6 * time.Second)
		want(t, s.client(u).Attached(), true)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		want(t, s.app.Online(), 0)
	}, classicSocket, lineSocket, lineStream)
}

func TestMaxBacklogEndsTheDetachedSessionWithTheLongestQueue(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		var d diary
		s := newSite(t, &ape.Options{MaxBacklog: 300 << 10, OnDisconnect: func(c *ape.Client, why error) { d.add(c.ID(), why) }})
		var users []*lineUser
		for range 3 {
			u := s.join(w).(*lineUser)
			u.cut()
			users = append(users, u)
		}
		attached := s.join(w)
		fill := func(u *lineUser, kib int) {
			t.Helper()
			for range kib {
				if err := s.client(u).Send("x", strings.Repeat("x", 1000)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		fill(users[0], 100)
		fill(users[1], 120)
		want(t, d.take(), "")
		fill(users[2], 90)
		want(t, d.take(), fmt.Sprintf("%s ape: session ended: slow: the queues of all clients together are above %d bytes", users[1].id(), 300<<10))
		want(t, s.app.Stats().Dropped, 1)
		want(t, s.app.Online(), 3)
		for i, gap := range []string{"", "unknown", ""} {
			want(t, users[i].connect(w.transport), "")
			want(t, users[i].welcome.Gap, gap)
		}
		s.app.SendTo(context.Background(), attached.id(), "still", 1)
		want(t, attached.next(), "still 1")
	}, lineSocket, lineStream)
}

func TestQueuedBytesAreGivenBack(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.joinAs(w, browser{deaf: true})
		for range 200 {
			s.app.Broadcast("x", strings.Repeat("x", 1000))
		}
		synctest.Wait()
		want(t, s.app.Stats().QueuedBytes > 0, true)
		u.cut()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		want(t, s.app.Stats().QueuedBytes, 0)
	})
}
