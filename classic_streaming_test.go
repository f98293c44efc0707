package ape_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

func TestThePollStreamLooksAsThePagesExpect(t *testing.T) {
	const events, messages = "text/event-stream", "application/json"
	for accept, framing := range map[string]string{
		"": events, "*/*": events, events: events, messages + ", " + events: events,
		messages: messages, // what both versions of the client ask for
	} {
		bubble(t, func(t *testing.T) {
			s := newSite(t, nil)
			hc, _ := s.dialer()
			defer hc.CloseIdleConnections()
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://memnet/api/ape/poll", nil)
			req.Header.Set("Accept", accept)
			resp, err := hc.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			for key, value := range map[string]string{
				"Content-Type": framing, "X-Accel-Buffering": "no", "Cache-Control": "no-store, no-transform", "X-Content-Type-Options": "nosniff",
			} {
				want(t, resp.Header.Get(key), value)
			}
			want(t, resp.Cookies()[0].Name, "apeClientId")
			prefix, suffix, beat := "data: ", "\n\n", ":\n\n"
			if framing == messages {
				prefix, suffix, beat = "", "\n", `{"type":"__heartbeat__"}`+"\n"
			}
			body := bufio.NewReader(resp.Body)
			read := func() (text string) {
				for range suffix {
					l, _ := body.ReadString('\n')
					text += l
				}
				return text
			}
			first := read()
			want(t, strings.HasPrefix(first, prefix+`{"data":{"clientId":"`) && strings.HasSuffix(first, `"},"type":"__connected__","queryId":null}`+suffix), true)
			s.app.Broadcast("tick", 1)
			want(t, read(), prefix+`{"type":"tick","queryId":false,"data":1}`+suffix)
			begin := time.Now()
			want(t, read(), beat)
			want(t, time.Since(begin), 25*time.Second)
			for range 1000 {
				read()
			}
			want(t, time.Since(begin) > 6*time.Hour, true) // it never ends on purpose
		})
	}
}

func TestPostStatusesAndBodies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, &ape.Options{MaxMessage: 4096, Rate: ape.Rate{PerSecond: 1, Burst: 12}})
		one(s.app, "one")
		for _, code := range []ape.Code{ape.Malformed, ape.Unsupported, ape.Invalid, ape.Unauthenticated, ape.Denied, ape.NotFound, ape.Conflict, ape.Exists,
			ape.TooLarge, ape.Busy, ape.Unavailable, ape.Deadline, ape.Failed, ape.Cancelled, ape.Closed, ape.Internal, "own"} {
			s.app.Handle("code/"+string(code), ape.Get(func(context.Context) (int, error) { return 0, ape.Errorf(code, "as asked") }))
		}
		u := s.join(classicStream).(*classicUser)
		for code, status := range map[ape.Code]int{
			ape.Malformed: 400, ape.Unsupported: 400, ape.Invalid: 400, ape.Unauthenticated: 401, ape.Denied: 403, ape.NotFound: 404, ape.Conflict: 409,
			ape.Exists: 409, ape.TooLarge: 413, ape.Busy: 429, ape.Unavailable: 503, ape.Deadline: 504, ape.Failed: 500, ape.Cancelled: 500,
			ape.Closed: 500, ape.Internal: 500, "own": 500,
		} {
			time.Sleep(time.Second)
			r := u.call("code/"+string(code), "")
			want(t, fmt.Sprint(r.http, r), fmt.Sprintf("%d %s: as asked", status, code))
		}
		time.Sleep(time.Minute)
		for _, c := range []struct {
			doc, want string
			status    int
		}{
			{u.document("one", ""), "1", 200},
			{`not json`, "malformed: message must be a JSON object", 400},
			{`{}`, "malformed: type is missing", 400},
			{`{"type":"/nowhere","createdAt":` + fmt.Sprint(time.Now().UnixMilli()) + `}`, `not_found: no controller is registered for "nowhere"`, 404},
			{`{"type":"/one","createdAt":5}`, "", 400},
			{`{"type":"` + strings.Repeat("x", 5000) + `"}`, "too_large: a message may have 4096 bytes (Options.MaxMessage)", 413},
			{`{"subscribe":"/news"}`, "null", 200},
			{`{"unsubscribe":"/news"}`, "null", 200},
			{`{"subscribe":"/private/x"}`, `denied: no client may subscribe to "private/x" by itself`, 403},
			{`{"subscribe":"/a\u0000b"}`, `invalid: the name holds a control character`, 400},
		} {
			status, body := u.post(c.doc)
			want(t, status, c.status)
			if _, _, r := readClassic(body); c.want != "" && fmt.Sprint(r) != c.want {
				t.Errorf("%.40s: got %v, want %s", c.doc, r, c.want)
			}
		}
		for range 12 {
			u.call("one", "")
		}
		resp := s.do(t, "POST", "/api/ape/poll", u.b.headers(), u.document("one", ""))
		want(t, resp.StatusCode, 429)
		want(t, resp.Header.Get("Content-Type"), "application/json")
		want(t, resp.Header.Get("Retry-After"), "1")

		resp = s.do(t, "POST", "/api/ape/poll", nil, `{"type":"/one"}`)
		want(t, resp.StatusCode, 401)
		want(t, strings.Contains(text(resp), `"error":"the cookie apeClientId is missing; GET this address first"`), true)
		want(t, resp.Cookies()[0].Name, "apeClientId")
		resp = s.do(t, "PUT", "/api/ape/poll", nil, "")
		want(t, fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Allow")), "405 GET, POST")
	})
}

func TestAllTabsOfABrowserAreOneClientAndGetAllPushes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		connects := 0
		var d diary
		s := newSite(t, &ape.Options{
			OnConnect: func(ctx context.Context, _ *ape.Client, _ *http.Request) (context.Context, error) {
				connects++
				return context.WithValue(ctx, point{}, connects), nil
			},
			OnDisconnect: func(_ *ape.Client, why error) { d.add(why) },
		})
		s.app.Handle("who", ape.Get(func(ctx context.Context) (any, error) { return ctx.Value(point{}), nil }))
		cookie := testCookie(t, s)
		a := s.joinAs(classicStream, browser{cookie: cookie})
		b := s.joinAs(classicStream, browser{cookie: cookie})
		stranger := s.join(classicStream)
		want(t, b.id(), a.id())
		want(t, s.app.Online(), 2)
		want(t, a.subscribe("news").code, "")
		s.app.Publish("news", 1)
		want(t, a.next(), "/news 1")
		want(t, b.next(), "/news 1")
		stranger.none()
		want(t, b.call("who", ""), "1")
		a.cut() // the older one: the newer one goes on
		s.app.Publish("news", 2)
		want(t, b.next(), "/news 2")
		b.cut()
		want(t, s.app.Publish("news", 3), nil) // nobody is there: it is gone
		time.Sleep(29 * time.Second)
		want(t, s.app.Subscribers("news"), 1)
		c := s.joinAs(classicStream, browser{cookie: cookie})
		want(t, c.id(), a.id())
		want(t, c.call("who", ""), "1")
		c.none()
		s.app.Publish("news", 4)
		want(t, c.next(), "/news 4")
		time.Sleep(time.Hour)
		want(t, d.take(), "")
		c.cut()
		time.Sleep(30*time.Second + time.Millisecond)
		want(t, d.take(), "ape: session ended: lost: the client did not come back")
		want(t, s.app.Subscribers("news"), 0)
		e := s.joinAs(classicStream, browser{cookie: cookie})
		want(t, e.id() != a.id(), true)
		want(t, e.call("who", ""), "3")
	})
}

func TestAnotherLoginOnOneBrowserIsAnotherClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		cookie := testCookie(t, s)
		login := func(v string) browser {
			return browser{cookie: cookie, header: http.Header{"Cookie": {"sessionId=" + v}}}
		}
		a, b := s.joinAs(classicStream, login("ann")), s.joinAs(classicStream, login("bob"))
		want(t, a.id() != b.id(), true)
		s.client(a).Send("for ann", 1)
		want(t, a.next(), "for ann 1")
		b.none()
	})
}

func TestAPostNeedsNoOpenStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		connects := 0
		s := newSite(t, &ape.Options{OnConnect: func(context.Context, *ape.Client, *http.Request) (context.Context, error) {
			connects++
			return nil, nil
		}})
		one(s.app, "one")
		u := &classicUser{inbox: newInbox(t), site: s, b: browser{cookie: testCookie(t, s)}, http: s.ln.HTTPClient()}
		defer u.http.CloseIdleConnections()
		for range 3 {
			want(t, u.call("one", ""), "1")
		}
		want(t, connects, 1)
		want(t, s.app.Online(), 1)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		want(t, s.app.Online(), 0)
	})
}

func TestManyFirstRequestsOfABrowserMakeOneClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		connects, refuse := 0, true
		s := newSite(t, &ape.Options{OnConnect: func(context.Context, *ape.Client, *http.Request) (context.Context, error) {
			connects++
			time.Sleep(time.Second)
			if refuse {
				return nil, ape.Errorf(ape.Denied, "not yet")
			}
			return nil, nil
		}})
		one(s.app, "one")
		u := &classicUser{inbox: newInbox(t), site: s, b: browser{cookie: testCookie(t, s)}, http: s.ln.HTTPClient()}
		defer u.http.CloseIdleConnections()
		var refused, served []<-chan result
		for range 5 {
			refused = append(refused, u.begin("one", ""))
		}
		for _, a := range refused {
			want(t, fmt.Sprint(u.wait(a).code), "denied")
		}
		want(t, s.app.Online(), 0)
		connects, refuse = 0, false
		for range 5 {
			served = append(served, u.begin("one", ""))
		}
		for _, a := range served {
			want(t, u.wait(a), "1")
		}
		want(t, connects, 1)
		want(t, s.app.Online(), 1)
	})
}

func TestACallOutlivesAPageThatDoesNotWaitForIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		done := make(chan error, 1)
		s.app.Handle("slow", ape.Get(func(ctx context.Context) (int, error) { time.Sleep(10 * time.Second); done <- ctx.Err(); return 1, nil }))
		u := s.join(classicStream).(*classicUser)
		u.http.Timeout = time.Second
		want(t, u.call("slow", "").value, "")
		want(t, <-done, nil)
		want(t, s.app.Online(), 1)
	})
}
