package ape_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
)

func TestEventsArriveInOrderWithAllTheirValues(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.join(w)
		c := s.client(u)
		for _, v := range []any{0, "", false, nil, codec.Undefined, []byte{0, 1}, time.UnixMilli(5), point{X: 1}, map[string]any{"at": time.UnixMilli(6)}, "<!x"} {
			want(t, c.Send("tick", v), nil)
		}
		for _, text := range []string{`tick 0`, `tick ""`, `tick false`, `tick null`, `tick`, `tick {"<!I>":"AAE="}`, `tick {"<!D>":5}`, `tick {"x":1}`, `tick {"at<!D>":6}`, `tick "<!x"`} {
			want(t, u.next(), text)
		}
		want(t, c.Send("bad", make(chan int)) != nil, true)
		want(t, s.app.SendTo(context.Background(), u.id(), "to", 1), nil)
		want(t, u.next(), "to 1")
		want(t, s.app.SendTo(context.Background(), "nobody", "to", 1), ape.ErrNoTarget)
		u.none()
	})
}

func TestEventsComeBeforeTheAnswerThatFollowsThem(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("emit", ape.Func(func(ctx context.Context, n int) (int, error) {
			for i := range n {
				ape.From(ctx).Client().Send("tick", i)
			}
			return n, nil
		}))
		u := s.join(w)
		u.call("emit", "3")
		u.call("emit", "1")
		want(t, u.seen(), "[tick 0 tick 1 tick 2 answer 3 tick 0 answer 1]")
	}, classicSocket, lineSocket, lineStream)
}

func TestEventsOfAClientRunAControllerAndAreNotAnswered(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var got []string
		s.app.Handle("note", ape.Serial(ape.Func(func(ctx context.Context, text string) (string, error) {
			got = append(got, text+" "+ape.From(ctx).Path())
			return text, ape.Errorf(ape.Failed, "nobody hears this")
		})))
		u := s.join(w).(*lineUser)
		for i := range 3 {
			u.write(fmt.Sprintf("m note \"%d\"", i), true)
		}
		u.write("m nowhere", true)
		want(t, u.call("note", `"last"`), "failed: nobody hears this")
		want(t, got, "[0 note 1 note 2 note last note]")
		want(t, u.seen(), "[answer failed: nobody hears this]")
	}, lineSocket, lineStream)
}

func TestBroadcastReachesAllButTheExcepted(t *testing.T) {
	for _, hook := range []bool{false, true} {
		eachWay(t, func(t *testing.T, w way) {
			opt := &ape.Options{}
			if hook {
				opt.OnSend = func(*ape.Client, string, any) func(error) { return nil }
			}
			s := newSite(t, opt)
			s.app.Handle("others", ape.Get(func(ctx context.Context) (int, error) {
				return 1, ape.From(ctx).BroadcastOthers("others", 2)
			}))
			s.app.Handle("all", ape.Get(func(ctx context.Context) (int, error) { return 1, ape.From(ctx).Broadcast("all", 3) }))
			a, b, c := s.join(w), s.join(w), s.join(lineSocket)
			want(t, s.app.Broadcast("one", 1), nil)
			want(t, s.app.Broadcast("two", 2, ape.Except(a.id(), "nobody"), ape.Except(c.id())), nil)
			want(t, s.app.BroadcastOthers(b.id(), "three", 3), nil)
			want(t, b.call("others", ""), "1")
			want(t, c.call("all", ""), "1")
			for i, list := range []string{"[one 1 three 3 others 2 all 3]", "[one 1 two 2 all 3]", "[one 1 three 3 others 2 all 3]"} {
				var got []string
				for _, line := range []user{a, b, c}[i].seen() {
					if !strings.HasPrefix(line, "answer") {
						got = append(got, line)
					}
				}
				want(t, got, list)
			}
			want(t, s.app.Broadcast("", 1) != nil, true)
			want(t, s.app.Broadcast("bad", make(chan int)) != nil, true)
		})
	}
}

// counted is encoded as 7, or as a date when tagged, and counts how often.
type counted struct {
	n      *atomic.Int32
	tagged bool
}

func (c counted) MarshalJSON() ([]byte, error) {
	c.n.Add(1)
	if c.tagged {
		return []byte(`"<!D>"`), nil
	}
	return []byte("7"), nil
}

func TestABroadcastIsEncodedOncePerDialect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		var users []user
		for _, w := range []way{classicSocket, classicStream, lineSocket, lineStream} {
			for range 5 {
				u := s.join(w)
				want(t, u.subscribe("news").code, "")
				users = append(users, u)
			}
		}
		for _, tagged := range []bool{false, true} {
			v := counted{new(atomic.Int32), tagged}
			want(t, s.app.Broadcast("tick", v), nil)
			want(t, s.app.Publish("news", v), nil)
			if n := v.n.Load(); n > 4 || !tagged && n > 2 {
				t.Errorf("a broadcast and a publication were encoded %d times", n)
			}
			for _, u := range users {
				text := "7"
				if tagged {
					text = `"<!D>"`
				}
				want(t, u.next(), "tick "+text)
				want(t, u.next(), "/news "+text)
			}
		}
	})
}

func TestAPushHoldsWhatItsValueWasWhenItWasSent(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.join(w)
		value, raw := map[string]any{"n": 1, "at": time.UnixMilli(1)}, []byte{1}
		s.client(u).Send("map", value)
		s.client(u).Send("raw", raw)
		s.app.Publish("kept", value)
		s.app.Publish("raw", raw)
		value["n"], value["at"], raw[0] = 2, 2, 9
		want(t, u.next(), `map {"at<!D>":1,"n":1}`)
		want(t, u.next(), `raw {"<!I>":"AQ=="}`)
		want(t, u.subscribe("kept").code, "")
		want(t, u.next(), `/kept {"at<!D>":1,"n":1}`)
		want(t, u.subscribe("raw").code, "")
		want(t, u.next(), `/raw {"<!I>":"AQ=="}`)
	})
}

func TestNamesOfEventsAndChannels(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.join(w)
		c := s.client(u)
		long := strings.Repeat("n", 255)
		for _, name := range []string{"", "/", "a\nb", "a\x00", "\x7f", "\xff", long + "n"} {
			for what, err := range map[string]error{
				"send": c.Send(name, 1), "broadcast": s.app.Broadcast(name, 1), "publish": s.app.Publish(name, 1), "subscribe": c.Subscribe(name),
			} {
				if err == nil {
					t.Errorf("%s takes the name %q", what, name)
				}
			}
		}
		u.none()
		for _, name := range []string{"größe", "a;b %41", `q"\`, long} {
			want(t, c.Send(name, 1), nil)
			want(t, u.next(), name+" 1")
			want(t, c.Subscribe(name), nil)
			want(t, s.app.Publish(name, 2), nil)
			want(t, u.next(), "/"+name+" 2")
		}
		if w.classic() {
			want(t, c.Send("/notice", 1), nil) // as subscribers of 4.1.1 see it
			want(t, u.next(), "/notice 1")
		} else {
			want(t, c.Send("/notice", 1), nil)
			want(t, u.next(), "notice 1")
		}
		want(t, c.Subscribe("/news"), nil)
		want(t, s.app.Publish("news", 3), nil)
		want(t, s.app.Publish("/news", 4), nil)
		want(t, u.next(), "/news 3")
		want(t, u.next(), "/news 4")
		want(t, s.app.Subscribers("/news"), 1)
		if w != classicSocket { // which is told nothing
			for _, name := range []string{"a\nb", long + "n"} {
				want(t, u.subscribe(name).code != "", true)
			}
		}
	})
}

func TestAnEndedClientTakesNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.join(w)
		c := s.client(u)
		want(t, c.Send("last", 1), nil)
		c.Close(ape.CloseEnded, "")
		c.Close(ape.CloseKicked, "too late")
		want(t, u.next(), "last 1") // what was queued is still sent
		if name := u.end(); w != classicStream {
			want(t, name, "ended")
		}
		want(t, c.Send("x", 1), ape.ErrGone)
		want(t, c.Subscribe("x"), ape.ErrGone)
		c.Unsubscribe("x")
		want(t, c.Attached(), false)
		want(t, s.app.SendTo(context.Background(), u.id(), "x", 1), ape.ErrNoTarget)
		want(t, s.app.Online(), 0)
		want(t, s.app.Subscribers("x"), 0)
	})
}

func TestAControllerClosesItsCallerBehindTheAnswer(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("leave", ape.Get(func(ctx context.Context) (int, error) {
			c := ape.From(ctx).Client()
			context.AfterFunc(ctx, func() { c.Close(ape.CloseKicked, "as asked") })
			return 1, nil
		}))
		u := s.join(w)
		want(t, u.call("leave", ""), "1")
		want(t, u.end(), "kicked")
	}, classicSocket, lineSocket, lineStream)
}

func TestClientsAreListedUntilTheyEnd(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{ResumeWindow: time.Minute})
		a, b := s.join(w), s.join(w)
		list := func() (ids []string) {
			for c := range s.app.Clients() {
				ids = append(ids, c.ID())
			}
			slices.Sort(ids)
			return ids
		}
		both := []string{a.id(), b.id()}
		slices.Sort(both)
		want(t, list(), both)
		for range s.app.Clients() {
			break
		}
		a.cut()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		want(t, list(), []string{b.id()})
		want(t, s.app.Client(a.id()) == nil, true)
		want(t, s.app.Online(), 1)
		want(t, fmt.Sprint(s.app.Stats().Clients, s.app.Stats().Sessions), "1 2")
	})
}
