package ape_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/js"
)

// get asks a handler without a network.
func get(h http.Handler, method, path string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRoutesAreFoundUnderAnyPrefix(t *testing.T) {
	app := ape.New(&ape.Options{NotFound: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })})
	defer stop(t, app)
	for _, prefix := range []string{"", "/api", "/a/b/c", "/apes", "/über"} {
		for path, status := range map[string]int{
			"/ape": 426, "/ape/ping": 200, "/ape.js": 200, "/ape.mjs": 200, "/ape.more.mjs": 200, "/ape.d.ts": 200, "/ape/poll": 405,
			"/apex": 418, "/xape": 418, "/ape/": 418, "/ape/pollx": 418, "/ping": 418, "/poll": 418, "/xape.js": 418, "/ape.js/": 418, "/ape.css": 418, "/": 418,
			"/ape/data/x": 418,
		} {
			method := "GET"
			if status == 405 {
				method = "PUT"
			}
			if got := get(app, method, prefix+path, nil).Code; got != status {
				t.Errorf("%s%s: got %d, want %d", prefix, path, got, status)
			}
		}
	}
	stripped := http.StripPrefix("/api", app)
	want(t, get(stripped, "GET", "/api/ape/ping", nil).Code, 200)
	want(t, get(http.StripPrefix("/api/", app), "GET", "/api/ape/ping", nil).Code, 200)
	want(t, get(ape.New(nil), "GET", "/api/else", nil).Code, 404)
}

func TestPingTellsTheTime(t *testing.T) {
	app := ape.New(nil)
	before := time.Now().UnixMilli()
	w := get(app, "GET", "/api/ape/ping", nil)
	var ping struct {
		OK bool
		TS int64
	}
	if err := json.Unmarshal(w.Body.Bytes(), &ping); err != nil || !ping.OK || ping.TS < before || ping.TS > time.Now().UnixMilli() {
		t.Errorf("got %s", w.Body)
	}
	want(t, w.Header().Get("Content-Type"), "application/json")
	want(t, w.Header().Get("Cache-Control"), "no-store")
	want(t, w.Result().Cookies()[0].Name, "apeClientId")
}

func TestTheBrowsersFilesAreServed(t *testing.T) {
	app := ape.New(nil)
	for _, f := range js.Files() {
		path := "/api/" + f.Name
		w := get(app, "GET", path, nil)
		want(t, w.Code, 200)
		want(t, w.Body.String() == f.Data, true)
		want(t, w.Header().Get("Content-Type"), f.ContentType)
		want(t, w.Header().Get("X-Content-Type-Options"), "nosniff")
		want(t, w.Header().Get("Vary"), "Accept-Encoding")
		etag := w.Header().Get("ETag")
		cookie := w.Result().Cookies()
		want(t, len(cookie), 1)
		if cached := w.Header().Get("Cache-Control"); !strings.Contains(cached, "private") {
			t.Errorf("%s: with a cookie for one browser, Cache-Control is %q: a shared cache would hand the cookie to everybody", path, cached)
		}
		w = get(app, "GET", path, http.Header{"Cookie": {cookie[0].String()}})
		want(t, len(w.Result().Cookies()), 0)
		want(t, w.Header().Get("Cache-Control"), "no-cache")

		w = get(app, "GET", path, http.Header{"If-None-Match": {etag}})
		want(t, w.Code, 304)
		want(t, w.Body.Len(), 0)
		w = get(app, "HEAD", path, nil)
		want(t, w.Code, 200)
		want(t, w.Body.Len(), 0)
		w = get(app, "POST", path, nil)
		want(t, fmt.Sprint(w.Code, " ", w.Header().Get("Allow")), "405 GET, HEAD")

		for accept, zipped := range map[string]bool{"gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.000": false, "br": false, "identity": false, "gzipped": false} {
			w = get(app, "GET", path, http.Header{"Accept-Encoding": {accept}})
			want(t, w.Header().Get("Content-Encoding") == "gzip", zipped)
			if !zipped {
				continue
			}
			want(t, w.Header().Get("ETag") != etag, true)
			r, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(r)
			want(t, err, nil)
			want(t, bytes.Equal(all, []byte(f.Data)), true)
			w = get(app, "GET", path, http.Header{"Accept-Encoding": {accept}, "If-None-Match": {w.Header().Get("ETag")}})
			want(t, w.Code, 304)
		}
	}
}

func TestCookiesAreSecureUnderTLS(t *testing.T) {
	for _, c := range []struct {
		opt    *ape.Options
		url    string
		header http.Header
		secure bool
		site   http.SameSite
	}{
		{nil, "http://x/api/ape/ping", nil, false, http.SameSiteLaxMode},
		{nil, "https://x/api/ape/ping", nil, true, http.SameSiteLaxMode},
		{nil, "http://x/api/ape/ping", http.Header{"X-Forwarded-Proto": {"https"}}, true, http.SameSiteLaxMode},
		{&ape.Options{TrustedOrigins: []string{"https://app.example.com"}}, "https://x/api/ape/ping", nil, true, http.SameSiteNoneMode},
		{&ape.Options{TrustedOrigins: []string{"https://app.example.com"}}, "http://x/api/ape/ping", nil, false, http.SameSiteLaxMode},
	} {
		k := get(ape.New(c.opt), "GET", c.url, c.header).Result().Cookies()[0]
		want(t, fmt.Sprint(k.HttpOnly, k.Secure, k.SameSite, len(k.Value)), fmt.Sprint(true, c.secure, c.site, 26))
	}
}
