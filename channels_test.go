package ape_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/goape/ape"
	"github.com/goape/ape/codec"
)

func TestSubscribersGetWhatIsPublishedAndNobodyElse(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		a, b := s.join(w), s.join(w)
		want(t, a.subscribe("news"), "undefined")
		want(t, a.subscribe("news"), "undefined") // still one subscription
		want(t, s.app.Subscribers("news"), 1)
		for i := range 3 {
			want(t, s.app.Publish("news", i), nil)
			want(t, a.next(), fmt.Sprint("/news ", i))
		}
		a.none()
		b.none()
		want(t, a.unsubscribe("news"), "undefined")
		want(t, a.unsubscribe("news"), "undefined")
		want(t, s.app.Publish("news", 9), nil)
		a.none()
		want(t, s.app.Subscribers("news"), 0)
	})
}

func TestTheLastValueComesFirst(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.join(w)
		for i, v := range []any{0, "", false, nil, codec.Undefined, []byte{}, map[string]int{"a": 1}} {
			name := fmt.Sprint("ch", i)
			want(t, s.app.Publish(name, "older"), nil)
			want(t, s.app.Publish(name, v), nil)
			want(t, u.subscribe(name).code, "")
			want(t, s.app.Publish(name, "news"), nil)
			want(t, u.next(), []string{"/ch0 0", `/ch1 ""`, "/ch2 false", "/ch3 null", "/ch4", `/ch5 {"<!I>":""}`, `/ch6 {"a":1}`}[i])
			want(t, u.next(), "/"+name+` "news"`)
		}
		u.none()
	})
}

func TestTheLastValueIsMarkedAndSentOnlyOnRequest(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Publish("news", 1)
		u := s.join(w).(*lineUser)
		want(t, u.wait(u.open("s", "news", "")), "undefined")
		u.none()
	}, lineSocket, lineStream)
}

func TestLastValuesAreBounded(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxLastValues: 2})
		u := s.join(w)
		want(t, u.subscribe("a").code, "")
		for _, name := range []string{"a", "b", "a", "c"} { // b was published least recently
			s.app.Publish(name, name)
		}
		want(t, u.next(), `/a "a"`)
		want(t, u.next(), `/a "a"`)
		want(t, s.app.Stats().Channels, 2)
		want(t, u.subscribe("b").code, "")
		u.none()
		want(t, u.subscribe("c").code, "")
		want(t, u.next(), `/c "c"`)
		s.app.Publish("d", 1)
		s.app.Publish("e", 1)              // a and c lose their values, not their subscribers
		want(t, s.app.Stats().Channels, 5) // a b c have subscribers, d e a value
		s.app.Publish("a", 2)
		want(t, u.next(), `/a 2`)
	})
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxLastValues: -1})
		u := s.join(w)
		s.app.Publish("a", 1)
		want(t, s.app.Stats().Channels, 0)
		want(t, u.subscribe("a").code, "")
		u.none()
		s.app.Publish("a", 2)
		want(t, u.next(), "/a 2")
	})
}

func TestNothingComesBehindTheAnswerToUnsubscribe(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.join(w)
		var publishing sync.WaitGroup
		for range 20 {
			publishing.Go(func() {
				for i := range 50 {
					s.app.Publish("news", i)
				}
			})
			u.subscribe("news")
			u.unsubscribe("news")
		}
		publishing.Wait()
		inside := false
		answers := 0
		for _, line := range u.seen() {
			if line == "answer undefined" {
				inside = !inside
				answers++
			} else if !inside {
				t.Fatalf("%q came outside of a subscription", line)
			}
		}
		want(t, answers, 40)
	}, lineSocket, lineStream)
}

func TestPrivateRoomsAreJoinedFromGoOnly(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var told error
		s := newSite(t, &ape.Options{OnError: func(_ *ape.Client, err error) { told = err }})
		u := s.join(w)
		for _, name := range []string{"private", "private/ann"} {
			told = nil
			r := u.subscribe(name)
			synctest.Wait()
			if w == classicSocket {
				want(t, told, fmt.Sprintf("ape: subscribe to %q: denied: no client may subscribe to %q by itself", name, name))
			} else {
				want(t, r, fmt.Sprintf("denied: no client may subscribe to %q by itself", name))
			}
			if w == classicStream {
				want(t, r.http, 403)
			}
			want(t, s.app.Subscribers(name), 0)
		}
		want(t, u.subscribe("privateer").code, "")
		s.app.Publish("private/ann", "kept")
		want(t, s.client(u).Subscribe("private/ann"), nil)
		want(t, u.next(), `/private/ann "kept"`)
		s.app.Publish("private/ann", "new")
		want(t, u.next(), `/private/ann "new"`)
		s.client(u).Unsubscribe("private/ann")
		s.client(u).Unsubscribe("private/ann")
		if !w.classic() {
			want(t, u.next(), "ended private/ann denied")
		}
		s.app.Publish("private/ann", "unheard")
		u.none()
	})
}

func TestAClientDoesNotLeaveARoomThatTheServerPutItIn(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		u := s.join(w)
		want(t, s.client(u).Subscribe("room"), nil)
		want(t, u.subscribe("room").code, "")
		want(t, u.unsubscribe("room").code, "")
		s.app.Publish("room", 1)
		want(t, u.next(), "/room 1")
		want(t, u.unsubscribe("room").code, "")
		want(t, s.app.Subscribers("room"), 1)
		s.client(u).Unsubscribe("room")
		want(t, s.app.Subscribers("room"), 0)
	})
}

func TestAuthorizeSubscribeDecides(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		asked := []string{}
		s := newSite(t, &ape.Options{
			OnConnect: func(ctx context.Context, _ *ape.Client, _ *http.Request) (context.Context, error) {
				return context.WithValue(ctx, point{}, "embedded"), nil
			},
			AuthorizeSubscribe: func(ctx context.Context, c *ape.Client, channel string) error {
				asked = append(asked, fmt.Sprint(channel, " ", ctx.Value(point{}), " ", c != nil))
				switch channel {
				case "told":
					return ape.Errorf(ape.Unauthenticated, "log in first")
				case "untold":
					return errors.New("secret")
				case "panic":
					panic("secret")
				}
				return nil
			},
		})
		u := s.join(w)
		want(t, u.subscribe("private/open").code, "")
		told, untold, panicked := u.subscribe("told"), u.subscribe("untold"), u.subscribe("panic")
		if w != classicSocket {
			want(t, told, "unauthenticated: log in first")
			want(t, untold, `denied: not allowed to subscribe to "untold"`)
			want(t, panicked, "internal: internal error")
		}
		if w == classicStream {
			want(t, fmt.Sprint(told.http, untold.http, panicked.http), "401 403 500")
		}
		want(t, s.app.Subscribers("told")+s.app.Subscribers("untold")+s.app.Subscribers("panic"), 0)
		want(t, s.client(u).Subscribe("told"), nil) // from Go nobody is asked
		want(t, asked, "[private/open embedded true told embedded true untold embedded true panic embedded true]")
		s.app.Publish("private/open", 1)
		want(t, u.next(), "/private/open 1")
	})
}

func TestSubscriptionsAreBounded(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		var told error
		s := newSite(t, &ape.Options{MaxSubscriptions: 3, OnError: func(_ *ape.Client, err error) { told = err }})
		u := s.join(w)
		for i := range 3 {
			want(t, u.subscribe(fmt.Sprint(i)).code, "")
		}
		r := u.subscribe("more")
		if w == classicSocket {
			synctest.Wait()
			want(t, ape.CodeOf(told), ape.Busy)
		} else {
			want(t, r.code, ape.Busy)
		}
		want(t, ape.CodeOf(s.client(u).Subscribe("more")), ape.Busy)
		want(t, u.subscribe("1").code, "")
		want(t, u.unsubscribe("1").code, "")
		want(t, u.subscribe("more").code, "")
		want(t, s.app.Subscribers("more"), 1)
	})
}

func TestAChannelWithoutSubscribersAndValueIsForgotten(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxLastValues: -1})
		u, v := s.join(w), s.join(w)
		for i := range 5 {
			u.subscribe(fmt.Sprint(i))
			v.subscribe(fmt.Sprint(i))
		}
		want(t, s.app.Stats().Channels, 5)
		u.unsubscribe("0")
		want(t, s.app.Stats().Channels, 5)
		s.client(v).Close(ape.CloseEnded, "")
		want(t, s.app.Stats().Channels, 4)
		s.client(u).Close(ape.CloseEnded, "")
		want(t, s.app.Stats().Channels, 0)
	})
}

func TestPublishersAtTheLimitDoNotDisturbSubscribers(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxLastValues: 1})
		u := s.join(w)
		for round := range 20 {
			u.subscribe("a")
			var publishing sync.WaitGroup
			for p := range 4 {
				publishing.Go(func() {
					for i := range 50 {
						s.app.Publish([]string{"a", "b", "c"}[(p+i)%3], i)
					}
				})
			}
			publishing.Wait()
			s.app.Publish("a", "end")
			for u.next() != `/a "end"` {
			}
			u.unsubscribe("a")
			if n := s.app.Stats().Channels; n != 1 {
				t.Fatalf("round %d: %d channels are kept, want 1", round, n)
			}
		}
	})
}
