package ape_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
	"github.com/goape/ape/internal/memnet"
)

// way is one of the four ways in which a client can talk to a server.
type way struct {
	dialect   string
	transport ape.Transport
}

var (
	classicSocket = way{"classic", ape.WebSocket}
	classicStream = way{"classic", ape.Streaming}
	lineSocket    = way{"ape.1", ape.WebSocket}
	lineStream    = way{"ape.1", ape.Streaming}
)

func (w way) String() string { return w.dialect + " over " + string(w.transport) }

func (w way) classic() bool { return w.dialect == "classic" }

// eachWay runs a behaviour over every way, each in a bubble of its own: time is
// fake there, and a goroutine that is left over fails the test.
func eachWay(t *testing.T, f func(t *testing.T, w way)) {
	overWays(t, f, classicSocket, classicStream, lineSocket, lineStream)
}

func overWays(t *testing.T, f func(t *testing.T, w way), ways ...way) {
	for _, w := range ways {
		t.Run(w.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, w) })
		})
	}
}

// bubble runs f in a bubble.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// user is a client of a test, whatever way it talks. Payloads are JSON, "" for
// none. What it waits for comes within a minute, or the test fails.
type user interface {
	// call waits for the answer of begin.
	call(path, payload string) result
	// begin sends a call; its result comes later.
	begin(path, payload string) <-chan result
	subscribe(channel string) result
	unsubscribe(channel string) result
	// next is the next event or channel message.
	next() string
	// none fails when there is one that nobody has taken.
	none()
	// seen is everything that came, in its order: answers and pushes.
	seen() []string
	// id is the client's public id.
	id() string
	// end waits until the server has closed the connection and returns the name
	// of its close code, "" where the way has none.
	end() string
	// close leaves in good form, cut breaks the connection.
	close()
	cut()
}

// result is the answer of a call, as ape.1 writes it over WebSocket but for
// bytes: {"<!D>":7} is a date at the root, {"<!I>":"AAEC"} are bytes.
type result struct {
	value string // "" for undefined
	code  ape.Code
	text  string
	data  string
	http  int // status, of a classic POST
}

func (r result) String() string {
	switch {
	case r.code != "" && r.data != "":
		return fmt.Sprintf("%s: %s %s", r.code, r.text, r.data)
	case r.code != "":
		return fmt.Sprintf("%s: %s", r.code, r.text)
	case r.value == "":
		return "undefined"
	}
	return r.value
}

// site is a server of a test.
type site struct {
	t    *testing.T
	app  *ape.Server
	ln   *memnet.Listener
	http *http.Server
	log  *logged
}

// newSite starts a server that ends with the test. Its paths may be registered
// before the first client connects.
func newSite(t *testing.T, opt *ape.Options, configure ...func(*http.Server)) *site {
	t.Helper()
	s := &site{t: t, ln: memnet.Listen(), log: &logged{}}
	var o ape.Options
	if opt != nil {
		o = *opt
	}
	o.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	s.app = ape.New(&o)
	mux := http.NewServeMux()
	mux.Handle("/api/", s.app)
	s.http = &http.Server{Handler: mux, ErrorLog: slog.NewLogLogger(slog.NewTextHandler(s.log, nil), slog.LevelError)}
	for _, f := range configure {
		f(s.http)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.http.Serve(s.ln)
	}()
	t.Cleanup(func() {
		stop(t, s.app)
		s.http.Close()
		s.ln.Close()
		<-served
		time.Sleep(time.Second) // net/http lingers after some responses
	})
	return s
}

// join connects a user, who leaves with the test.
func (s *site) join(w way) user { return s.joinAs(w, browser{}) }

// browser is what a client's requests carry.
type browser struct {
	cookie string // apeClientId
	header http.Header
	hello  string // ape.1: members of the hello, such as `"auth":"ann"`
	deaf   bool   // it reads nothing before listen, and answers no heartbeat
}

func (b browser) headers() http.Header {
	h := http.Header{}
	for k, v := range b.header {
		h[k] = v
	}
	if b.cookie != "" {
		h.Add("Cookie", "apeClientId="+b.cookie)
	}
	return h
}

func (s *site) joinAs(w way, b browser) user {
	s.t.Helper()
	u, err := s.tryJoin(w, b)
	if err != "" {
		s.t.Fatalf("%v: refused: %s", w, err)
	}
	return u
}

// tryJoin connects a user; refused is why it could not: the name of a close
// code, or an HTTP status.
func (s *site) tryJoin(w way, b browser) (u user, refused string) {
	s.t.Helper()
	if b.cookie == "" && w == classicStream {
		b.cookie = testCookie(s.t, s)
	}
	if w.classic() {
		return joinClassic(s, w, b)
	}
	l := newLineUser(s, b)
	if refused := l.connect(w.transport); refused != "" {
		return nil, refused
	}
	return l, ""
}

// testCookie gets a cookie as a browser does.
func testCookie(t *testing.T, s *site) string {
	t.Helper()
	resp := s.do(t, "GET", "/api/ape/ping", nil, "")
	for _, c := range resp.Cookies() {
		if c.Name == "apeClientId" {
			return c.Value
		}
	}
	t.Fatal("no cookie apeClientId was set")
	return ""
}

// do sends one request and reads its response.
func (s *site) do(t *testing.T, method, path string, header http.Header, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, "http://memnet"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	h := s.ln.HTTPClient()
	defer h.CloseIdleConnections()
	resp, err := h.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(all))
	return resp
}

// text is the body of a response of do.
func text(resp *http.Response) string {
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// dialer makes an HTTP client with a connection of its own, which it returns.
func (s *site) dialer() (*http.Client, func() net.Conn) {
	var conn net.Conn
	var mu sync.Mutex
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := s.ln.Dial(ctx)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		conn = memnet.NewFaulty(c, memnet.Faults{})
		return conn, nil
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}, func() net.Conn {
		mu.Lock()
		defer mu.Unlock()
		return conn
	}
}

// client is the server's side of a user.
func (s *site) client(u user) *ape.Client {
	s.t.Helper()
	c := s.app.Client(u.id())
	if c == nil {
		s.t.Fatalf("the server has no client %q", u.id())
	}
	return c
}

// logged keeps what a server logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inbox keeps what came to a user.
type inbox struct {
	t       *testing.T
	mu      sync.Mutex
	all     []string
	pushes  []string
	more    chan struct{} // one slot: there is something new
	answers map[string]chan result
}

func newInbox(t *testing.T) *inbox {
	return &inbox{t: t, more: make(chan struct{}, 1), answers: map[string]chan result{}}
}

// expect makes room for an answer.
func (b *inbox) expect(id string) <-chan result {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := make(chan result, 1)
	b.answers[id] = c
	return c
}

func (b *inbox) answer(id string, r result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, "answer "+r.String())
	c := b.answers[id]
	if c == nil {
		b.t.Errorf("an answer came to %q, which nobody asked or which was answered before: %v", id, r)
		return
	}
	delete(b.answers, id)
	c <- r
}

func (b *inbox) push(p string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, p)
	b.pushes = append(b.pushes, p)
	select {
	case b.more <- struct{}{}:
	default:
	}
}

func (b *inbox) next() string {
	b.t.Helper()
	for late := time.After(time.Minute); ; {
		b.mu.Lock()
		if len(b.pushes) > 0 {
			p := b.pushes[0]
			b.pushes = b.pushes[1:]
			b.mu.Unlock()
			return p
		}
		b.mu.Unlock()
		select {
		case <-b.more:
		case <-late:
			b.t.Fatal("no push came")
		}
	}
}

func (b *inbox) none() {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pushes) > 0 {
		b.t.Errorf("got %q, want nothing", b.pushes)
	}
}

func (b *inbox) seen() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.all...)
}

func (b *inbox) wait(c <-chan result) result {
	b.t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(time.Minute):
		b.t.Fatal("no answer came")
		return result{}
	}
}

// want compares, with the place of the caller.
func want(t *testing.T, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
