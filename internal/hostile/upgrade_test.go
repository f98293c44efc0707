package hostile_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape"
)

// TestBadHandshakesAreRefused: each gets its status, and no connection is
// handed over.
func TestBadHandshakesAreRefused(t *testing.T) {
	cases := []struct {
		name   string
		head   head
		status int
	}{
		{"no version", head{"Sec-WebSocket-Version": ""}, 400},
		{"version 12", head{"Sec-WebSocket-Version": "12"}, 400},
		{"version 13 and more", head{"Sec-WebSocket-Version": "13, 8"}, 400},
		{"no key", head{"Sec-WebSocket-Key": ""}, 400},
		{"short key", head{"Sec-WebSocket-Key": "c2hvcnQ="}, 400},
		{"long key", head{"Sec-WebSocket-Key": strings.Repeat("QUFB", 2000)}, 400},
		{"key that is no base64", head{"Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!=="}, 400},
		{"two keys", head{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, 400},
		{"no upgrade", head{"Upgrade": ""}, 426},
		{"upgrade to something else", head{"Upgrade": "h2c"}, 426},
		{"no connection field", head{"Connection": ""}, 426},
		{"connection keep-alive", head{"Connection": "keep-alive"}, 426},
		{"unknown subprotocol", head{"Sec-WebSocket-Protocol": "chat, soap"}, 400},
		{"empty subprotocol", head{"Sec-WebSocket-Protocol": ","}, 400},
		{"subprotocol in upper case", head{"Sec-WebSocket-Protocol": "APE.1"}, 400},
		{"subprotocol with more behind it", head{"Sec-WebSocket-Protocol": "ape.10"}, 400},
	}
	inside(t, setup{}, func(t *testing.T, w *world) {
		for _, c := range cases {
			p := w.get(request("GET", "/api/ape", line1, c.head))
			if got := p.response.StatusCode; got != c.status {
				t.Errorf("%s: status %d, want %d", c.name, got, c.status)
			}
			p.Close()
		}
		for _, method := range []string{"POST", "PUT", "HEAD", "OPTIONS", "BREW"} {
			if p := w.get(request(method, "/api/ape", line1)); p.response.StatusCode < 400 {
				t.Errorf("%s: status %d", method, p.response.StatusCode)
			}
		}
		w.online(0)
	})
}

// TestOldHTTPGetsNoWebSocket: a request of HTTP/1.0 cannot be upgraded, with or
// without Host.
func TestOldHTTPGetsNoWebSocket(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		text := request("GET", "/api/ape", line1)
		text = strings.Replace(text, "HTTP/1.1", "HTTP/1.0", 1)
		w.get(text).status(426)
		text = strings.Replace(text, "Host: "+host+"\r\n", "Origin: null\r\n", 1)
		if p := w.get(text); p.response.StatusCode < 400 {
			t.Errorf("without Host, and from the origin null: status %d", p.response.StatusCode)
		}
	})
}

// TestExtensionsAreNotNegotiated: nobody gets to send a compressed bomb.
func TestExtensionsAreNotNegotiated(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.upgrade(line1, head{"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame"})
		if got := p.response.Header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("the server chose %q", got)
		}
		p.send(frame(fin|0x40|opText, []byte{0x4a, 4, 0}))
		p.wantClose(1002, 4200)
	})
}

// TestFramesGluedToTheUpgradeRequest: what comes in the same packet counts, in
// either dialect.
func TestFramesGluedToTheUpgradeRequest(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.raw()
		p.isLine = true
		head := request("GET", "/api/ape", line1)
		p.send(join([]byte(head), text("h {}\nc 1 echo 1\n"), text("c 3 echo 3\n")))
		p.readResponse(head)
		p.welcome()
		p.unordered("r 1 1", "r 3 3")
		q := w.raw()
		head = request("GET", "/api/ape")
		q.send(join([]byte(head), text(`{"type":"/echo","data":"glued"}`)))
		q.readResponse(head)
		if got := q.message() + q.message(); !strings.Contains(got, `"__connected__"`) || !strings.Contains(got, `"glued"`) {
			t.Errorf("got %q", got)
		}
	})
}

// unordered reads one line for each prefix, in any order.
func (p *peer) unordered(prefixes ...string) {
	p.t.Helper()
	missing := map[string]bool{}
	for _, want := range prefixes {
		missing[want] = true
	}
	for range prefixes {
		got := p.line()
		found := false
		for want := range missing {
			if strings.HasPrefix(got, want) {
				delete(missing, want)
				found = true
				break
			}
		}
		if !found {
			p.t.Errorf("got %.300q, want one of %v", got, missing)
		}
	}
}

// TestARequestBehindTheUpgradeIsNotServed: what is smuggled behind an upgrade
// is never taken for a second request by the server that has said 101, and by
// the one that has refused only for a request of its own.
func TestARequestBehindTheUpgradeIsNotServed(t *testing.T) {
	inner := request("GET", "/api/ape/ping")
	bodies := []head{
		{},
		{"Content-Length": fmt.Sprint(len(inner))},
		{"Transfer-Encoding": "chunked"},
	}
	for _, body := range bodies {
		inside(t, setup{}, func(t *testing.T, w *world) {
			p := w.raw()
			outer := request("GET", "/api/ape", line1, body)
			p.send([]byte(outer + inner))
			p.readResponse(outer)
			if p.response.StatusCode != 101 {
				if got := p.rest200(); got > 1 {
					t.Errorf("%v: %d requests were served", body, got)
				}
				return
			}
			p.isLine = true
			p.wantClose(1002, 4200) // "GE" are no frame
		})
	}
}

// rest200 counts the good responses that follow.
func (p *peer) rest200() (n int) {
	for {
		p.response.Body.Close()
		resp, err := http.ReadResponse(p.br, &http.Request{Method: "GET"})
		if err != nil {
			return n
		}
		if p.response = resp; resp.StatusCode == 200 {
			n++
		}
	}
}

// TestAmbiguousRequestsAreNotServed: two readings of one request are none.
func TestAmbiguousRequestsAreNotServed(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		for _, fields := range []string{
			"Content-Length: 5\r\nContent-Length: 6\r\n",
			"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
			"Content-Length: -1\r\n", "Content-Length: 1e1\r\n",
			"Host: other.test\r\n", "Ape Session: x\r\n", " folded: x\r\n",
		} {
			text := "POST /api/ape/poll HTTP/1.1\r\nHost: " + host + "\r\nCookie: apeClientId=" + cookieOf("A") + "\r\n" + fields + "\r\nhello"
			if p := w.get(text); p.response.StatusCode < 400 {
				t.Errorf("%q: status %d", fields, p.response.StatusCode)
			}
		}
		w.online(0)
	})
}

// cookieOf is a cookie that could have been made by a server.
func cookieOf(letter string) string { return strings.Repeat(letter, 26) }

// TestForeignOriginsAreRefused: at the upgrade, at streams and at POSTs; before
// anything else happens.
func TestForeignOriginsAreRefused(t *testing.T) {
	foreign := []string{
		"null", "https://evil.test", "http://ape.test:81", "http://ape.test.", "http://ape.test.evil.test", "http://xape.test",
		"http://ape", "http://evil.test/ape.test", "http://evil.test#ape.test", "http://ape.test@evil.test", "file://", "ape.test",
		"http://ape.test:", "http://ape.test:80", "http://[::1]", "http://ape.test evil.test", "http://APE.test", "http://ape%2etest", "\"", "//",
		"chrome-extension://ape", "http://\xff", "http://ape.test\x7f", strings.Repeat("http://", 1000),
	}
	inside(t, setup{}, func(t *testing.T, w *world) {
		for _, origin := range foreign {
			from := head{"Origin": origin}
			for _, text := range []string{
				request("GET", "/api/ape", line1, from), request("GET", "/api/ape", from),
				request("GET", "/api/ape/poll", from), request("GET", "/api/ape/poll", from, head{"Ape-Protocol": "ape.1", "Ape-Hello": "{}"}),
				request("POST", "/api/ape/poll", from, head{"Cookie": "apeClientId=" + cookieOf("A")}),
			} {
				if p := w.get(text); p.response.StatusCode != 403 && p.response.StatusCode != 400 {
					t.Errorf("%q: status %d, want 403", origin, p.response.StatusCode)
				} else if p.response.Header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%q is allowed by CORS", origin)
				}
			}
		}
		for _, site := range []string{"cross-site", "same-site", "anything"} {
			w.get(request("GET", "/api/ape", line1, head{"Sec-Fetch-Site": site})).status(403)
		}
		w.get(request("GET", "/api/ape", line1, head{"Origin": "http://ape.test"})).status(101)
		if got := w.app.Stats().Sessions; got != 1 {
			t.Errorf("%d sessions were begun, want the bystander's", got)
		}
	})
}

// TestTrustedOriginsAreComparedExactly: one trusted origin lets nobody else in.
func TestTrustedOriginsAreComparedExactly(t *testing.T) {
	o := setup{Options: ape.Options{TrustedOrigins: []string{"https://app.example.com"}}}
	inside(t, o, func(t *testing.T, w *world) {
		for _, origin := range []string{
			"http://app.example.com", "https://app.example.com.", "https://app.example.com:8443", "https://example.com",
			"https://x.app.example.com", "https://app.example.com.evil.test", "https://app-example.com", "null",
		} {
			p := w.get(request("GET", "/api/ape/poll", head{"Origin": origin, "Ape-Protocol": "ape.1", "Ape-Hello": "{}"}))
			if p.status(403); p.response.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%q is allowed by CORS", origin)
			}
		}
		w.get(request("GET", "/api/ape", line1, head{"Origin": "https://app.example.com"})).status(101)
	})
}

// TestHostTricks: a strange Host makes nobody trusted, and no answer repeats it
// unquoted.
func TestHostTricks(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		for _, h := range []string{"evil.test", "ape.test:80", "ape.test@evil.test", "[::1", strings.Repeat("a", 5000), "a,b", "%00", "APE.TEST"} {
			p := w.get(request("GET", "/api/ape", line1, head{"Host": h, "Origin": "http://ape.test"}))
			if p.response.StatusCode != 403 && p.response.StatusCode != 400 {
				t.Errorf("host %.20q: status %d", h, p.response.StatusCode)
			}
			if body := p.body(); len(body) > 2000 {
				t.Errorf("host %.20q: an answer of %d bytes", h, len(body))
			}
		}
	})
}

// TestHeadersOnly: a request that never ends costs a connection, until
// http.Server's own limit, and nobody waits for it.
func TestHeadersOnly(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		for _, part := range []string{"G", "GET /api/ape HTTP/1.1\r\n", strings.TrimSuffix(request("GET", "/api/ape"), "\r\n")} {
			w.raw().send([]byte(part))
		}
		p := w.raw()
		bw := bufio.NewWriter(p)
		fmt.Fprintf(bw, "GET /api/ape HTTP/1.1\r\nHost: %s\r\n", host)
		for i := range 20000 { // above http.Server's MaxHeaderBytes
			fmt.Fprintf(bw, "X-%d: %s\r\n", i, strings.Repeat("a", 100))
		}
		bw.Flush()
		p.readResponse("GET")
		p.status(431)
		time.Sleep(time.Hour)
		w.online(0)
	})
}
