package ape_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/goape/ape"
)

// upgrade is the header of a handshake.
func upgrade() http.Header {
	return http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
}

// statuses asks for every kind of request with headers of an origin.
func statuses(t *testing.T, s *site, from http.Header) string {
	t.Helper()
	var list []string
	for _, c := range []struct {
		method, path, body string
		header             http.Header
	}{
		{"GET", "/api/ape", "", upgrade()},
		{"GET", "/api/ape/poll", "", http.Header{"Ape-Protocol": {"ape.1"}, "Ape-Hello": {`{"poll":true}`}}},
		{"POST", "/api/ape/poll", "", http.Header{"Ape-Protocol": {"ape.1"}}},
		{"POST", "/api/ape/poll", `{"type":"/one"}`, http.Header{"Cookie": {"apeClientId=" + strings.Repeat("A", 26)}}},
		{"GET", "/api/ape/ping", "", http.Header{}},
		{"GET", "/api/ape.js", "", http.Header{}},
	} {
		for k, v := range from {
			c.header[k] = v
		}
		list = append(list, fmt.Sprint(s.do(t, c.method, c.path, c.header, c.body).StatusCode))
	}
	return strings.Join(list, " ")
}

const (
	letIn   = "101 200 410 200 200 200"
	refused = "403 403 403 403 200 200" // the ping and the files are public
)

func TestOnlyTheOwnOriginAndTrustedOnesMayConnect(t *testing.T) {
	for _, c := range []struct {
		name, origin, site, host string
		opt                      ape.Options
		want                     string
	}{
		{"a program", "", "", "", ape.Options{}, letIn},
		{"same origin", "http://memnet", "", "", ape.Options{}, letIn},
		{"same origin, says the browser", "http://memnet", "same-origin", "", ape.Options{}, letIn},
		{"typed in", "", "none", "", ape.Options{}, letIn},
		{"behind TLS", "https://example.com", "", "example.com", ape.Options{}, letIn},
		{"other site", "http://evil.example", "", "", ape.Options{}, refused},
		{"other site, says the browser", "http://evil.example", "cross-site", "", ape.Options{}, refused},
		{"without an origin, other site", "", "cross-site", "", ape.Options{}, refused},
		{"same site, other host", "http://sub.memnet", "same-site", "", ape.Options{}, refused},
		{"other port", "http://memnet:81", "", "", ape.Options{}, refused},
		{"null", "null", "", "", ape.Options{}, refused},
		{"nonsense", "%%%", "", "", ape.Options{}, refused},
		{"trusted", "https://app.example.com", "cross-site", "", ape.Options{TrustedOrigins: []string{"https://app.example.com"}}, letIn},
		{"beside a trusted one", "https://app.example.com.evil.example", "cross-site", "", ape.Options{TrustedOrigins: []string{"https://app.example.com"}}, refused},
		{"a trusted one without TLS", "http://app.example.com", "cross-site", "", ape.Options{TrustedOrigins: []string{"https://app.example.com"}}, refused},
		{"any", "http://evil.example", "cross-site", "", ape.Options{InsecureAnyOrigin: true}, letIn},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSite(t, &c.opt)
				one(s.app, "one")
				h := http.Header{}
				for k, v := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site, "Host": c.host} {
					if v != "" {
						h.Set(k, v)
					}
				}
				want(t, statuses(t, s, h), c.want)
			})
		})
	}
}

func TestAForeignOriginIsToldWhatToDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var d diary
		s := newSite(t, &ape.Options{OnError: func(c *ape.Client, err error) {
			var e *ape.Error
			d.add(c == nil, errors.As(err, &e) && e.Code == ape.Denied)
		}})
		for _, c := range []struct{ method, path string }{{"GET", "/api/ape"}, {"GET", "/api/ape/poll"}, {"POST", "/api/ape/poll"}} {
			h := upgrade()
			h.Set("Origin", "http://evil.example")
			body := text(s.do(t, c.method, c.path, h, ""))
			for _, part := range []string{`"error":"the page's origin`, `\"http://evil.example\"`, `\"memnet\"`, "Options.TrustedOrigins", "proxy_set_header Host $http_host", `"code":"denied"`} {
				if !strings.Contains(body, part) {
					t.Errorf("%s %s: the answer lacks %s: %s", c.method, c.path, part, body)
				}
			}
			want(t, d.take(), "true true")
		}
		want(t, s.app.Online(), 0)
	})
}

func TestTrustedOriginsGetCORS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, &ape.Options{TrustedOrigins: []string{"https://app.example.com"}})
		one(s.app, "one")
		ask := http.Header{"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"POST"},
			"Access-Control-Request-Headers": {"ape-hello,ape-protocol,ape-seq,ape-session,authorization,content-type"}}
		resp := s.do(t, "OPTIONS", "/api/ape/poll", ask, "")
		want(t, resp.StatusCode, 204)
		want(t, resp.Header.Get("Access-Control-Allow-Origin"), "https://app.example.com")
		want(t, resp.Header.Get("Access-Control-Allow-Credentials"), "true")
		want(t, resp.Header.Get("Access-Control-Allow-Headers"), ask.Get("Access-Control-Request-Headers"))
		h := http.Header{"Origin": {"https://app.example.com"}, "Sec-Fetch-Site": {"cross-site"}, "Ape-Protocol": {"ape.1"}, "Ape-Hello": {`{"poll":true}`}}
		resp = s.do(t, "GET", "/api/ape/poll", h, "")
		want(t, resp.StatusCode, 200)
		want(t, resp.Header.Get("Access-Control-Allow-Origin"), "https://app.example.com")
		for _, name := range []string{"Ape-Protocol", "Ape-Got", "Retry-After"} {
			if !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), name) {
				t.Errorf("%s is not exposed: %v", name, resp.Header)
			}
		}
		want(t, s.do(t, "GET", "/api/ape/ping", h, "").Header.Get("Access-Control-Allow-Origin"), "https://app.example.com")

		ask.Set("Origin", "https://evil.example")
		resp = s.do(t, "OPTIONS", "/api/ape/poll", ask, "")
		want(t, resp.Header.Get("Access-Control-Allow-Origin"), "")
		plain := newSite(t, nil)
		want(t, plain.do(t, "OPTIONS", "/api/ape/poll", ask, "").StatusCode, 403)
	})
}
