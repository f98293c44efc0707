package ape_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// diary keeps what hooks are told, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(parts ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, strings.TrimSuffix(fmt.Sprintln(parts...), "\n"))
}

// take waits until everything stands still and returns what is new.
func (d *diary) take() string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.lines = nil
	return strings.Join(lines, "\n")
}

func TestOnReceiveIsAroundEveryCall(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var d diary
		s := newSite(t, &ape.Options{OnReceive: func(ctx context.Context, c *ape.Call) func(any, error) {
			if ape.From(ctx) != c {
				t.Error("From does not find the call in OnReceive")
			}
			d.add("before", c.Path())
			if c.Path() == "quiet" {
				return nil
			}
			return func(result any, err error) { d.add("after", c.Path(), result, err) }
		}})
		s.app.Handle("one", ape.Get(func(context.Context) (int, error) { d.add("run"); return 1, nil }))
		s.app.Handle("quiet", ape.Get(func(context.Context) (int, error) { return 1, nil }))
		failures(s.app)
		u := s.join(w)
		for _, c := range []struct{ path, want string }{
			{"one", "before one\nrun\nafter one 1 <nil>"},
			{"quiet", "before quiet"},
			{"plain", "before plain\nafter plain <nil> secret: the database is down"},
			{"panic", "before panic\nafter panic <nil> panic"},
			{"unknown", ""},
		} {
			u.call(c.path, "")
			want(t, d.take(), c.want)
		}
	})
}

func TestPanicsOfHooksAreLoggedAndHurtNobody(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		boom := func() { panic("boom") }
		s := newSite(t, &ape.Options{
			OnReceive: func(_ context.Context, c *ape.Call) func(any, error) {
				if c.Path() == "before" {
					boom()
				}
				return func(any, error) {
					if c.Path() == "after" {
						boom()
					}
				}
			},
			OnDisconnect: func(*ape.Client, error) { boom() },
			OnError:      func(*ape.Client, error) { boom() },
			Observer: &ape.Observer{
				Call: func(ape.CallInfo) { boom() }, Connect: func(ape.ConnectInfo) { boom() },
				Disconnect: func(ape.DisconnectInfo) { boom() }, Gap: func(string) { boom() },
			},
		})
		for _, p := range []string{"before", "after", "one"} {
			one(s.app, p)
		}
		u := s.join(w)
		want(t, u.call("before", ""), "internal: internal error")
		want(t, u.call("after", ""), "internal: internal error")
		want(t, u.call("one", ""), "1")
		u.subscribe("private/x")
		want(t, u.call("one", ""), "1")
		s.client(u).Close(ape.CloseEnded, "")
		if !w.classic() {
			u.end()
			u.(*lineUser).connect(w.transport)
			want(t, u.(*lineUser).welcome.Gap, "unknown")
		}
		want(t, s.join(w).call("one", ""), "1")
	})
}

func TestOnSendIsAroundEveryPush(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var d diary
		s := newSite(t, &ape.Options{OnSend: func(c *ape.Client, name string, data any) func(error) {
			d.add("before", name, data)
			if name == "quiet" {
				return nil
			}
			return func(err error) { d.add("after", name, err) }
		}})
		u := s.join(w)
		c := s.client(u)
		u.subscribe("news")
		want(t, c.Send("tick", 1), nil)
		want(t, s.app.Broadcast("all", 2), nil)
		want(t, s.app.Broadcast("quiet", 2), nil)
		want(t, s.app.Publish("/news", 3), nil)
		want(t, s.app.Publish("other", 3), nil)
		want(t, d.take(), "before tick 1\nafter tick <nil>\nbefore all 2\nafter all <nil>\nbefore quiet 2\nbefore news 3\nafter news <nil>")
		c.Close(ape.CloseEnded, "")
		want(t, c.Send("late", 1), ape.ErrGone)
		want(t, d.take(), "before late 1\nafter late closed: the client's session has ended")
		for _, text := range []string{"tick 1", "all 2", "quiet 2", "/news 3"} {
			want(t, u.next(), text)
		}
	})
}

func TestOnErrorIsToldOfUnreadableMessages(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		var d diary
		s := newSite(t, &ape.Options{OnError: func(c *ape.Client, err error) { d.add(c != nil, err) }})
		one(s.app, "one")
		u := s.join(w).(*classicUser)
		for doc, text := range map[string]string{
			`not json`:         "true ape: classic message: message must be a JSON object",
			`[]`:               "true ape: classic message: message must be a JSON object",
			`{}`:               "true ape: classic message: type is missing",
			`{"type":5}`:       "true ape: classic message: type must be a string",
			`{"subscribe":{}}`: "true ape: classic message: subscribe must be a string",
		} {
			rawSend(u, doc)
			want(t, d.take(), text)
		}
		want(t, u.call("one", ""), "1")
		want(t, s.app.Stats().Malformed, 5)
	}, classicSocket)
}

// rawSend writes a message for which no answer is expected.
func rawSend(u *classicUser, doc string) {
	u.ws.Write(context.Background(), 1, []byte(doc))
	synctest.Wait()
}

func TestOnDisconnectIsCalledOnceWithTheReason(t *testing.T) {
	type end struct {
		name string
		do   func(s *site, u user)
		// OnDisconnect's error, by dialect; "" where it does not apply
		classic, line string
	}
	for _, e := range []end{
		{"kick", func(s *site, u user) { s.client(u).Close(ape.CloseKicked, "out") },
			"ape: session ended: kicked: out", "ape: session ended: kicked: out"},
		{"close", func(_ *site, u user) { u.close() }, "ape: session ended: bye", "ape: session ended: ended: bye"},
		{"cut", func(_ *site, u user) { u.cut(); time.Sleep(2 * time.Minute) }, "ape: session ended: lost", "ape: session ended: lost: the client did not come back"},
		{"shutdown", func(s *site, _ user) { s.app.Shutdown(context.Background()) },
			"ape: session ended: away: the server is shutting down", "ape: session ended: restart: the server is shutting down"},
	} {
		t.Run(e.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				var d diary
				s := newSite(t, &ape.Options{OnDisconnect: func(c *ape.Client, why error) {
					var code *ape.CloseError
					if !errors.As(why, &code) {
						t.Errorf("the reason is %T", why)
					}
					if c.Context().Err() == nil || c.Attached() {
						t.Error("the session goes on")
					}
					d.add(c.ID(), why)
				}})
				u := s.join(w)
				e.do(s, u)
				text := e.line
				if w.classic() {
					text = e.classic
				}
				if w == classicStream && (e.name == "close" || e.name == "cut") {
					time.Sleep(time.Minute) // it outlives its GETs
					text = "ape: session ended: lost: the client did not come back"
				}
				want(t, d.take(), u.id()+" "+text)
				time.Sleep(5 * time.Minute)
				want(t, d.take(), "")
			})
		})
	}
}

func TestTheObserverIsToldOfCallsAndConnections(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var d diary
		s := newSite(t, &ape.Options{
			MaxCalls: 1,
			Observer: &ape.Observer{
				Call: func(i ape.CallInfo) {
					d.add("call", i.Path, i.Code, i.Duration, i.Dialect == w.dialect, i.Transport == w.transport)
				},
				Connect:    func(i ape.ConnectInfo) { d.add("connect", i.Client.ID(), i.Transport, i.Dialect, i.Resumed) },
				Disconnect: func(i ape.DisconnectInfo) { d.add("disconnect", i.Client.ID(), i.Code) },
				Gap:        func(reason string) { d.add("gap", reason) },
			},
		})
		s.app.Handle("slow/*", ape.Get(func(context.Context) (int, error) { time.Sleep(time.Second); return 1, nil }))
		failures(s.app)
		u := s.join(w)
		want(t, d.take(), fmt.Sprintf("connect %s %s %s false", u.id(), w.transport, w.dialect))
		u.call("slow/x", "")
		u.call("shown", "")
		u.call("nowhere", "")
		u.call("explosive", "")
		want(t, d.take(), "call slow/*  1s true true\ncall shown not_found 0s true true\ncall  not_found 0s true true\ncall explosive internal 0s true true")
		want(t, s.app.Stats().Calls, 4)
		want(t, s.app.Stats().Failed, 3)
		s.client(u).Close(ape.CloseEnded, "")
		want(t, d.take(), "disconnect "+u.id()+" ended")
		if !w.classic() {
			u.end()
			u.(*lineUser).connect(w.transport)
			want(t, d.take(), fmt.Sprintf("gap unknown\nconnect %s %s %s false", u.id(), w.transport, w.dialect))
			u.cut()
			u.(*lineUser).connect(w.transport)
			want(t, d.take(), fmt.Sprintf("connect %s %s %s true", u.id(), w.transport, w.dialect))
			want(t, fmt.Sprint(s.app.Stats().Gaps, s.app.Stats().Resumed), "1 1")
		}
	})
}

func TestStatsCountWhatHappened(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		one(s.app, "one")
		u := s.join(w)
		u.subscribe("news")
		s.app.Publish("news", 1)
		s.app.Publish("kept", 1)
		s.app.Broadcast("tick", 1)
		u.call("one", "")
		u.seen()
		got := s.app.Stats()
		got.QueuedBytes = 0
		want(t, got, ape.Stats{Clients: 1, Channels: 2, Sessions: 1, Calls: 1, Pushes: 2})
		s.client(u).Close(ape.CloseEnded, "")
		u.end()
		synctest.Wait()
		want(t, s.app.Stats().QueuedBytes, 0)
		want(t, s.app.Stats().Clients, 0)
	})
}

func TestServersHaveIdsOfTheirOwn(t *testing.T) {
	a, b := ape.New(nil), ape.New(nil)
	if a.ServerID() == b.ServerID() || len(a.ServerID()) != 8 {
		t.Errorf("the ids are %q and %q", a.ServerID(), b.ServerID())
	}
	var _ http.Handler = a
}
