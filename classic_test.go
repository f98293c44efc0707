package ape_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/internal/classic"
)

func TestAnswersBearTheQueryIdsOfTheClients(t *testing.T) {
	text, err := os.ReadFile("internal/classic/testdata/hash_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Vectors []struct {
			Input   *string `json:"input"`
			QueryID string  `json:"queryId"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	overWays(t, func(t *testing.T, w way) {
		time.Sleep(time.Until(time.UnixMilli(1767225600000))) // when the vectors were sent
		s := newSite(t, nil)
		u := s.join(w).(*classicUser)
		sent := 0
		for _, v := range golden.Vectors {
			if v.Input == nil || !strings.HasPrefix(*v.Input, `{"type"`) {
				continue
			}
			sent++
			if w == classicStream {
				_, body := u.post(*v.Input)
				if !strings.Contains(string(body), fmt.Sprintf(`"queryId":%q`, v.QueryID)) {
					t.Errorf("%s: got %s, want %s", *v.Input, body, v.QueryID)
				}
				continue
			}
			c := u.expect(v.QueryID)
			rawSend(u, *v.Input)
			u.wait(c)
		}
		if sent == 0 {
			t.Error("no golden vector is a message")
		}
	}, classicSocket, classicStream)
}

func TestTheClassicMessagesAreThoseOfTheOriginal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		failures(s.app)
		s.app.Handle("hello", ape.Func(func(_ context.Context, in struct{ Name string }) (any, error) {
			return map[string]string{"msg": "hello " + in.Name}, nil
		}))
		s.app.Handle("date", ape.Get(func(context.Context) (any, error) { return time.UnixMilli(7), nil }))
		s.app.Handle("dates", ape.Get(func(context.Context) (any, error) { return []any{time.UnixMilli(7), 1}, nil }))
		s.app.Handle("nested", ape.Get(func(context.Context) (any, error) {
			return [][]any{{time.UnixMilli(1), time.UnixMilli(2)}, {3}}, nil
		}))
		s.app.Handle("void", ape.Do(func(context.Context, any) error { return nil }))
		ws := rawSocket(t, s, "", nil)
		var hello struct{ Data struct{ ClientID string } }
		first := ws.read()
		json.Unmarshal([]byte(first), &hello)
		want(t, first, fmt.Sprintf(`{"data":{"clientId":%q},"type":"__connected__","queryId":null}`, hello.Data.ClientID))
		want(t, s.app.Client(hello.Data.ClientID) != nil, true)
		for _, c := range []struct{ doc, want string }{
			{`{"type":"/hello","data":{"name":"World"},"requestedAt<!D>":1}`, `{"type":false,"queryId":Q,"data":{"msg":"hello World"}}`},
			{`{"type":"hello","data":{"name":"2.3.0"}}`, `{"type":false,"queryId":Q,"data":{"msg":"hello 2.3.0"}}`},
			{`{"type":"/date"}`, `{"type":false,"queryId":Q,"data<!D>":7}`},
			{`{"type":"/dates"}`, `{"type":false,"queryId":Q,"data<![D,]>":[7,1]}`},
			{`{"type":"/nested"}`, `{"type":false,"queryId":Q,"data<![P,]>":[["data$1"],[3]],"data$1<![D,D]>":[1,2]}`},
			{`{"type":"/void"}`, `{"type":false,"queryId":Q}`},
			{`{"type":"/shown"}`, `{"err":"no user 9","error":"no user 9","code":"not_found","type":false,"queryId":Q}`},
			{`{"type":"/bare"}`, `{"err":"conflict","error":"conflict","code":"conflict","type":false,"queryId":Q}`},
			{`{"type":"/data"}`, `{"err":"sorry","error":"sorry","code":"own.code","data":{"id":9},"type":false,"queryId":Q}`},
			{`{"type":"//hello"}`, `{"err":"no controller is registered for \"/hello\"; did you mean \"hello\"?","error":"no controller is registered for \"/hello\"; did you mean \"hello\"?","code":"not_found","type":false,"queryId":Q}`},
		} {
			ws.write(c.doc)
			id, _ := json.Marshal(classic.QueryID([]byte(c.doc)))
			want(t, ws.read(), strings.Replace(c.want, "Q", string(id), 1))
		}
		s.app.Client(hello.Data.ClientID).Send("notice", map[string]int{"n": 1})
		want(t, ws.read(), `{"type":"notice","queryId":false,"data":{"n":1}}`)
		ws.write(`{"subscribe":"/news","type":"/hello"}`)
		synctest.Wait()
		s.app.Publish("news", map[string]int{"h": 1})
		want(t, ws.read(), `{"type":"/news","queryId":false,"data":{"h":1}}`)
		ws.write(`{"unsubscribe":"/news"}`)
		synctest.Wait()
		want(t, s.app.Subscribers("news"), 0)
	})
}

func TestARepeatedCallRunsOnceAndIsAnsweredOnce(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		runs := 0
		s := newSite(t, nil)
		s.app.Handle("add", ape.Serial(ape.Get(func(context.Context) (int, error) { time.Sleep(time.Second); runs++; return runs, nil })))
		u := s.join(w).(*classicUser)
		doc := u.document("add", "")
		answer := u.send(doc)
		synctest.Wait()
		for range 10 {
			if w == classicSocket {
				rawSend(u, doc) // inbox fails at a second answer
				continue
			}
			status, body := u.post(doc)
			_, _, r := readClassic(body)
			want(t, status, 409)
			want(t, r, "conflict: this very message was sent before")
		}
		want(t, u.wait(answer), "1")
		time.Sleep(time.Second)
		if w == classicSocket {
			rawSend(u, doc)
		}
		want(t, u.call("add", ""), "2")
		want(t, s.app.Stats().Repeated >= 10, true)
		other := s.join(w).(*classicUser) // another connection knows nothing of it
		want(t, other.wait(other.send(doc)), "3")
	}, classicSocket, classicStream)
}

func TestManyCallsAtOnceAreAnsweredOnceEach(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("echo", ape.Func(func(_ context.Context, n int) (int, error) { return n, nil }))
		u := s.join(w).(*classicUser)
		var answers []<-chan result
		for i := range 200 {
			doc := u.document("echo", fmt.Sprint(i))
			answers = append(answers, u.send(doc))
			if w == classicSocket {
				u.ws.Write(context.Background(), 1, []byte(doc))
			}
		}
		for i, a := range answers {
			want(t, u.wait(a), i)
		}
		u.seen()
	}, classicSocket, classicStream)
}

func TestAClockMayBeAMinuteOff(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		one(s.app, "one")
		u := s.join(w).(*classicUser)
		for _, c := range []struct {
			off  time.Duration
			code ape.Code
		}{{0, ""}, {time.Minute, ""}, {-time.Minute, ""}, {time.Minute + time.Millisecond, ape.Invalid}, {-time.Minute - time.Millisecond, ape.Invalid}} {
			for _, key := range []string{"createdAt<!D>", "createdAt"} { // Node sends a plain number
				at := time.Now().Add(c.off).UnixMilli()
				r := u.wait(u.send(fmt.Sprintf(`{"type":"/one","%s":%d}`, key, at)))
				want(t, r.code, c.code)
				if c.code != "" && !strings.Contains(r.text, "the clock") {
					t.Errorf("the text does not say what to do: %v", r)
				}
			}
		}
	}, classicSocket, classicStream)
}

func TestACallThatIsRefusedByItsAgeCannotBeReplayed(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("pay", ape.Get(func(context.Context) (int, error) { return 1, nil }))
		u := s.join(w).(*classicUser)
		doc := u.document("pay", "")
		want(t, u.wait(u.send(doc)), "1")
		for range 5 { // it is remembered for longer than its age is allowed
			time.Sleep(20 * time.Second)
			if w == classicSocket {
				rawSend(u, doc)
			} else if r := u.wait(u.send(doc)); r.code != ape.Conflict {
				t.Errorf("a replay was answered with %v", r)
			}
		}
		time.Sleep(5 * time.Minute)
		if w == classicStream {
			want(t, u.wait(u.send(doc)).code, ape.Invalid) // forgotten, and too old
		}
		want(t, s.app.Stats().Calls, 1)
	}, classicSocket, classicStream)
}

func TestARepeatedCallIsRecognisedAmongMany(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{Rate: ape.Rate{PerSecond: -1}})
		runs := 0
		s.app.Handle("add", ape.Serial(ape.Get(func(context.Context) (int, error) { runs++; return runs, nil })))
		u := s.join(w).(*classicUser)
		doc := u.document("add", "")
		want(t, u.wait(u.send(doc)), "1")
		for range 1000 {
			u.call("add", "")
		}
		rawSend(u, doc)
		want(t, u.call("add", ""), "1002")
	}, classicSocket)
}

func TestOldClientsAreServed(t *testing.T) {
	overWays(t, func(t *testing.T, w way) { // 2.3.0: no requestedAt, paths in lower case
		s := newSite(t, nil)
		s.app.Handle("Users/ListAll", ape.Get(func(context.Context) (int, error) { return 0, nil }))
		u := s.join(w).(*classicUser)
		r := u.wait(u.send(fmt.Sprintf(`{"type":"users/listall","createdAt<!D>":%d}`, time.Now().UnixMilli())))
		want(t, r, "0")
	}, classicSocket, classicStream)
}

func TestTheHandshakeOfASocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		ws := rawSocket(t, s, "", nil)
		want(t, ws.resp.StatusCode, 101)
		cookie := ws.resp.Cookies()[0]
		want(t, cookie.Name, "apeClientId")
		want(t, len(cookie.Value), 26)
		want(t, fmt.Sprint(cookie.HttpOnly, cookie.Secure, cookie.SameSite == http.SameSiteLaxMode, cookie.Path), "true false true/")
		var hello struct{ Data struct{ ClientID string } }
		json.Unmarshal([]byte(ws.read()), &hello)
		want(t, hello.Data.ClientID != cookie.Value, true) // the id is public, the cookie a secret
		again := rawSocket(t, s, "", http.Header{"Cookie": {"apeClientId=" + cookie.Value}})
		want(t, len(again.resp.Cookies()), 0)
		forged := rawSocket(t, s, "", http.Header{"Cookie": {"apeClientId=" + strings.Repeat("a", 26)}})
		want(t, len(forged.resp.Cookies()), 1)

		resp := s.do(t, "GET", "/api/ape", nil, "")
		want(t, resp.StatusCode, 426)
		want(t, resp.Header.Get("Upgrade"), "websocket")
		upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
		upgrade.Set("Sec-WebSocket-Protocol", "chat, mqtt")
		resp = s.do(t, "GET", "/api/ape", upgrade, "")
		want(t, resp.StatusCode, 400)
		want(t, strings.Contains(text(resp), "offer ape.1"), true)
		ws = rawSocket(t, s, "ape.1", nil)
		want(t, ws.resp.Header.Get("Sec-WebSocket-Protocol"), "ape.1")
	})
}

func TestAMessageThatIsNotUTF8ClosesTheSocket(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		var d diary
		s := newSite(t, &ape.Options{OnDisconnect: func(_ *ape.Client, why error) { d.add(why) }})
		protocol := ""
		if !w.classic() {
			protocol = "ape.1"
		}
		ws := rawSocket(t, s, protocol, nil)
		if !w.classic() {
			ws.write("h {}\n")
		}
		ws.write("c 1 \xff\xfe\n")
		want(t, ws.end(), 1007)
		want(t, d.take(), "ape: session ended: utf8: a message was not UTF-8")
	}, classicSocket, lineSocket)
}
