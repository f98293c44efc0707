package ape_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// stream opens a GET of ape.1 whose body a test reads itself.
func stream(t *testing.T, s *site, hello, cookie string) (*http.Response, *bufio.Reader) {
	t.Helper()
	hc, _ := s.dialer()
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://memnet/api/ape/poll", nil)
	req.Header = http.Header{"Ape-Protocol": {"ape.2, ape.1"}, "Ape-Hello": {hello}}
	if cookie != "" {
		req.Header.Set("Cookie", "apeClientId="+cookie)
	}
	resp, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); resp.Body.Close(); hc.CloseIdleConnections() })
	return resp, bufio.NewReader(resp.Body)
}

func TestTheHeadersOfAStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		resp, body := stream(t, s, "{}", "")
		want(t, resp.StatusCode, 200)
		for key, value := range map[string]string{
			"Ape-Protocol": "ape.1", "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff",
			"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no",
		} {
			want(t, resp.Header.Get(key), value)
		}
		want(t, resp.Cookies()[0].Name, "apeClientId")
		line, _ := body.ReadString('\n')
		want(t, strings.HasPrefix(line, "w {"), true)
	})
}

func TestAStreamThatCannotBeOpenedSaysWhy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		for _, c := range []struct {
			protocol, hello, code string
			status                int
		}{
			{"ape.2", "{}", "version", 400},
			{"ape.1", "", "hello", 400},
			{"ape.1", "{", "hello", 400},
			{"ape.1", `"` + strings.Repeat("x", 6<<10) + `"`, "hello", 400},
			{"ape.1", `{"resume":"x","seen":-1}`, "hello", 400},
		} {
			resp := s.do(t, "GET", "/api/ape/poll", http.Header{"Ape-Protocol": {c.protocol}, "Ape-Hello": {c.hello}}, "")
			want(t, resp.StatusCode, c.status)
			want(t, resp.Header.Get("Ape-Protocol"), "ape.1")
			if q := text(resp); !strings.HasPrefix(q, `q {"code":"`+c.code+`","then":"final"`) {
				t.Errorf("%s %.20s: got %s", c.protocol, c.hello, q)
			}
		}
		want(t, s.app.Online(), 0)
	})
}

func TestPostsAreTakenByTheirNumbers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, &ape.Options{MaxMessage: 4096})
		total := 0
		s.app.Handle("add", ape.Serial(ape.Func(func(_ context.Context, n int) (int, error) { total += n; return total, nil })))
		u := s.join(lineStream).(*lineUser)
		post := func(seq, body string) string {
			h := http.Header{"Ape-Protocol": {"ape.1"}, "Ape-Session": {u.token}}
			if seq != "" {
				h.Set("Ape-Seq", seq)
			}
			resp := s.do(t, "POST", "/api/ape/poll", h, body)
			want(t, resp.Header.Get("Ape-Protocol"), "ape.1")
			synctest.Wait()
			return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Ape-Got"), " total ", total))
		}
		for _, c := range []struct{ seq, body, want string }{
			{"1", "m add 1\n", "204 1 total 1"},
			{"1", "m add 1\n", "204 1 total 1"},
			{"1", "m add 1\nm add 2\nm add 4\n", "204 3 total 7"},
			{"3", "m add 4\nm add 8\n", "204 4 total 15"},
			{"6", "m add 100\n", "409 4 total 15"},
			{"", "m add 100\n", "400 4 total 15"},
			{"0", "m add 100\n", "400 4 total 15"},
			{"x", "m add 100\n", "400  total 15"},
			{"-1", "m add 100\n", "400  total 15"},
			{"99999999999999999999", "m add 100\n", "400  total 15"},
			{"9007199254740991", "m add 100\n", "409 4 total 15"},
			{"", "", "204 4 total 15"},
			{"", "\n\na 0\n", "204 4 total 15"},
			{"5", "m add 16\nm add 32", "400 5 total 31"}, // the second is not whole
			{"6", "m add 32\n\xff\xfe\n", "400 6 total 63"},
			{"7", strings.Repeat("x 1\n", 20_000), "413 16390 total 63"}, // longer than 16 messages may be
		} {
			want(t, post(c.seq, c.body), c.want)
		}
	})
}

func TestAPostWithoutASessionIsGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		u := s.join(lineStream).(*lineUser)
		for _, token := range []string{"", "x", s.app.ServerID() + ".", u.token + "x", u.token[1:], u.id()} {
			resp := s.do(t, "POST", "/api/ape/poll", http.Header{"Ape-Protocol": {"ape.1"}, "Ape-Session": {token}, "Ape-Seq": {"1"}}, "m x\n")
			want(t, resp.StatusCode, 410)
			want(t, strings.HasPrefix(text(resp), `q {"code":"ended","then":"new"`), true)
		}
	})
}

func TestTheFourthStreamOfABrowserEndsAsInPollMode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		cookie := testCookie(t, s)
		for range 3 {
			s.joinAs(lineStream, browser{cookie: cookie})
		}
		_, body := stream(t, s, "{}", cookie)
		all, err := io.ReadAll(body) // it ends right behind the welcome
		if err != nil || !strings.HasPrefix(string(all), "w {") || strings.Count(string(all), "\n") != 1 {
			t.Errorf("got %q, %v", all, err)
		}
		s.joinAs(lineStream, browser{cookie: testCookie(t, s)}) // of another browser
		s.join(lineSocket)
	})
}

func TestAPollEndsBehindTheFirstLineOrABeat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		u := newLineUser(s, browser{hello: `"poll":true`})
		want(t, u.connect(ape.Streaming), "")
		u.end()
		c := s.client(u)
		want(t, c.Attached(), false)
		begin := time.Now()
		want(t, u.connect(ape.Streaming), "")
		u.end()
		want(t, time.Since(begin), 25*time.Second)
		want(t, u.connect(ape.Streaming), "")
		time.Sleep(time.Second)
		c.Send("tick", 1)
		u.end()
		want(t, u.next(), "tick 1")
		c.Send("tick", 2)
		c.Send("tick", 3)
		want(t, u.connect(ape.Streaming), "")
		u.end()
		want(t, u.next(), "tick 2")
		want(t, u.next(), "tick 3")
		want(t, time.Since(begin), 26*time.Second)
	})
}

func TestTheServersWriteTimeoutDoesNotEndStreams(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil, func(h *http.Server) {
			h.WriteTimeout, h.ReadTimeout, h.IdleTimeout = 5*time.Second, 5*time.Second, 5*time.Second
		})
		one(s.app, "one")
		u := s.join(w)
		for i := range 5 {
			time.Sleep(time.Minute)
			want(t, s.client(u).Send("tick", i), nil)
			want(t, u.next(), fmt.Sprint("tick ", i))
			want(t, u.call("one", ""), "1")
		}
		want(t, s.app.Stats().Sessions, 1)
	})
}

func TestASlowPostDoesNotHoldAConnectionForEver(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{HandshakeTimeout: 5 * time.Second})
		u := s.joinAs(w, browser{cookie: testCookie(t, s)})
		c, err := s.ln.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		head := "POST /api/ape/poll HTTP/1.1\r\nHost: memnet\r\nContent-Length: 100\r\nCookie: apeClientId="
		if l, ok := u.(*lineUser); ok {
			head += l.b.cookie + "\r\nApe-Protocol: ape.1\r\nApe-Seq: 1\r\nApe-Session: " + l.token
		} else {
			head += u.(*classicUser).b.cookie
		}
		fmt.Fprintf(c, "%s\r\n\r\n{", head)
		begin := time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		want(t, resp.StatusCode, 400)
		want(t, time.Since(begin), 5*time.Second)
	}, classicStream, lineStream)
}

func TestTheServerAcknowledgesInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, nil)
		s.app.Handle("nothing", ape.Do(func(context.Context, any) error { return nil }))
		ws := rawSocket(t, s, "ape.1", nil)
		ws.write("h {}\n")
		for !strings.Contains(ws.read(), "w {") {
		}
		begin := time.Now()
		ws.write("m nothing\n")
		want(t, ws.read(), "a 1\n")
		want(t, time.Since(begin), 5*time.Second)
		ws.write(strings.Repeat("m nothing\n", 64))
		if got := ws.read(); !strings.HasPrefix(got, "a ") || time.Since(begin) != 5*time.Second {
			t.Errorf("got %q after %v", got, time.Since(begin))
		}
		ws.write("p\n")
		want(t, ws.read(), "a 65\n")
	})
}
