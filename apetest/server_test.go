package apetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/apetest"
)

// echo answers with the path, and with the body of a POST.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, r.URL.Path, " ")
	io.Copy(w, r.Body)
})

// get returns the text of a response, or why there is none.
func get(s *apetest.Server, path string) string {
	resp, err := s.Client().Get("http://ape.test" + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// want compares, with the place of the caller.
func want(t *testing.T, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// wantError looks for an error by errors.Is.
func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got the error %v, want %v", got, want)
	}
}

// test is a test inside a test: it keeps what fails, and ends when end is called
// or with the test around it.
type test struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func newTest(t *testing.T) *test {
	inner := &test{TB: t}
	t.Cleanup(inner.end)
	return inner
}

func (t *test) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *test) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}

func (t *test) Fatal(args ...any) {
	t.Errorf("%s", fmt.Sprint(args...))
	panic(t)
}

func (t *test) Fatalf(format string, args ...any) { t.Fatal(fmt.Sprintf(format, args...)) }

func (t *test) end() {
	for ; len(t.cleanups) > 0; t.cleanups = t.cleanups[:len(t.cleanups)-1] {
		t.cleanups[len(t.cleanups)-1]()
	}
}

func TestServesEveryHostAndPath(t *testing.T) {
	test := func(t *testing.T) {
		s := apetest.New(t, echo)
		want(t, get(s, "/any/path"), "/any/path ")
		resp, err := s.Client().Post(s.URL(), "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		want(t, fmt.Sprint(string(b), err), "/api/ape hello<nil>")
		want(t, s.Dials(), 1) // kept alive
		want(t, s.Conns(), 1)
	}
	t.Run("in a bubble", func(t *testing.T) { synctest.Test(t, test) })
	t.Run("outside", test)
}

func TestAddressesAreAddresses(t *testing.T) {
	s := apetest.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }))
	seen := map[string]bool{}
	for range 3 {
		addr := get(s, "/")
		if _, err := netip.ParseAddrPort(addr); err != nil || seen[addr] {
			t.Errorf("RemoteAddr is %q (%v), have seen %v", addr, err, seen)
		}
		seen[addr] = true
		s.Cut()
	}
}

func TestClientsShareNothingButConnections(t *testing.T) {
	s := apetest.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := r.Cookie("name")
		http.SetCookie(w, &http.Cookie{Name: "name", Value: "ann"})
		fmt.Fprint(w, err == nil)
	}))
	ann, bob := s.Client(), s.Client()
	ann.Jar, _ = cookiejar.New(nil)
	for i, c := range []*http.Client{ann, ann, bob} {
		resp, err := c.Get(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		want(t, string(b), i == 1)
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		s := apetest.New(t, echo)
		var wg sync.WaitGroup
		for round := range 3 {
			release := make(chan struct{})
			for i := range n {
				wg.Go(func() {
					c, err := s.DialContext(t.Context(), "tcp", "anywhere:1")
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					<-release
					fmt.Fprintf(c, "GET /%d HTTP/1.0\r\n\r\n", i)
					b, err := io.ReadAll(c)
					if !strings.HasSuffix(string(b), fmt.Sprintf("/%d ", i)) || err != nil {
						t.Errorf("connection %d read %q, %v", i, b, err)
					}
				})
			}
			synctest.Wait()
			want(t, s.Conns(), n)
			close(release)
			wg.Wait()
			time.Sleep(time.Second) // net/http lingers after some responses
			want(t, s.Conns(), 0)
			want(t, s.Dials(), (round+1)*n)
		}
	})
}

// TestAProxyOfTheEnvironmentDoesNotMatter has clients, as ape.Dial makes them,
// that would reach the server by way of one.
func TestAProxyOfTheEnvironmentDoesNotMatter(t *testing.T) {
	s := apetest.New(t, echo)
	proxy := &url.URL{Scheme: "http", Host: "proxy.example:3128"}
	c := &http.Client{Transport: &http.Transport{DialContext: s.DialContext, Proxy: http.ProxyURL(proxy)}}
	resp, err := c.Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	want(t, fmt.Sprint(string(b), err), "/api/ape <nil>")
}

func TestAnAppMayHaveSeveralNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &app{Handler: echo}
		ann, bob := apetest.New(t, app), apetest.New(t, app)
		get(ann, "/")
		get(bob, "/")
		ann.Cut()
		ann.Refuse(true)
		want(t, fmt.Sprint(ann.Conns(), bob.Conns()), "0 1")
		want(t, get(bob, "/b"), "/b ")
	})
}

// redialler is an app whose clients come back while it ends.
type redialler struct {
	http.Handler
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	err  error
}

func (r *redialler) Shutdown(ctx context.Context) error {
	_, r.err = r.dial(ctx, "tcp", "ape.test:80")
	return nil
}

func TestNobodyComesBackWhileTheAppEnds(t *testing.T) {
	inner, app := newTest(t), &redialler{Handler: echo}
	app.dial = apetest.New(inner, app).DialContext
	inner.end()
	wantError(t, app.err, syscall.ECONNREFUSED)
}

// app is a handler with a Shutdown, which takes its time.
type app struct {
	http.Handler
	shutdown  []time.Duration // of each call, longer than its context lasts at most
	shutdowns int
}

func (a *app) Shutdown(ctx context.Context) error {
	a.shutdowns++
	var wait time.Duration
	if len(a.shutdown) > 0 {
		wait, a.shutdown = a.shutdown[0], a.shutdown[1:]
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

func TestTheEndOfTheTestShutsTheAppDown(t *testing.T) {
	for name, test := range map[string]struct {
		took  []time.Duration
		calls int
		fails string
	}{
		"at once":          {nil, 1, ""},
		"soon":             {[]time.Duration{time.Second / 2}, 1, ""},
		"when told to":     {[]time.Duration{time.Hour, time.Second}, 2, ""},
		"not even when so": {[]time.Duration{time.Hour, time.Hour}, 2, "context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { endOfApp(t, test.took, test.calls, test.fails) })
		})
	}
}

func endOfApp(t *testing.T, took []time.Duration, calls int, fails string) {
	a := &app{Handler: echo, shutdown: took}
	inner := newTest(t)
	s := apetest.New(inner, a)
	get(s, "/")
	start := time.Now()
	inner.end()
	want(t, a.shutdowns, calls)
	want(t, s.Conns(), 0)
	want(t, len(inner.failures) > 0, fails != "")
	want(t, strings.Contains(strings.Join(inner.failures, ""), fails), true)
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("the end took %s", d)
	}
}

func TestTheEndOfTheTestEndsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended context.Context
		inner := newTest(t)
		s := apetest.New(inner, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { // never reads its body
			ended = r.Context()
			<-r.Context().Done()
		}))
		failed := make(chan error, 1)
		go func() {
			_, err := s.Client().Post(s.URL(), "", strings.NewReader("unread"))
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		inner.end()
		wantError(t, ended.Err(), context.Canceled)
		wantError(t, <-failed, syscall.ECONNRESET)
		want(t, inner.failures, []string{})
		if d := time.Since(start); d > time.Second {
			t.Errorf("the end took %s", d)
		}
	})
}

func TestAHandlerThatHangsFailsTheTestAndEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		inner := newTest(t)
		s := apetest.New(inner, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		go s.Client().Get(s.URL())
		synctest.Wait()
		start := time.Now()
		inner.end()
		want(t, len(inner.failures), 1)
		want(t, time.Since(start) <= 10*time.Second, true)
		close(release)
	})
}

func TestNobodyAnswersBehindTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newTest(t)
		s := apetest.New(inner, echo)
		s.Delay(time.Hour)
		start := time.Now()
		failed := make(chan error, 1)
		go func() {
			_, err := s.DialContext(t.Context(), "", "")
			failed <- err
		}()
		synctest.Wait()
		inner.end()
		wantError(t, <-failed, syscall.ECONNREFUSED)
		want(t, time.Since(start), time.Duration(0))
		s.Delay(0)
		_, err := s.DialContext(t.Context(), "", "")
		wantError(t, err, syscall.ECONNREFUSED)
		want(t, inner.failures, []string{})
	})
}

func TestANilAppIsRefused(t *testing.T) {
	inner := newTest(t)
	func() {
		defer func() { recover() }()
		apetest.New(inner, nil)
	}()
	want(t, inner.failures, "[apetest: New: the app is nil; pass an ape.Server or any other http.Handler]")
}

// dial opens a connection that ends with the test.
func dial(t *testing.T, s *apetest.Server) net.Conn {
	t.Helper()
	c, err := s.DialContext(t.Context(), "tcp", "ape.test:80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
