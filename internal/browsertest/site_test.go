package browsertest_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goape/ape"
)

// site is a server with ape and some pages, which can die and come back.
type site struct {
	t     testing.TB
	addr  string
	build func() *ape.Server
	pages map[string]string // bodies by path
	files map[string][]byte

	// noSocket answers upgrades with 503, as a proxy that knows no WebSocket.
	noSocket atomic.Bool
	// upgrades counts WebSockets, posts the fallback's requests.
	upgrades, posts atomic.Int64

	app      *ape.Server
	server   *http.Server
	listener *tracked
}

// newSite starts a server on a free port. build is called again at each start.
func newSite(t testing.TB, build func() *ape.Server) *site {
	t.Helper()
	needBrowser(t)
	s := &site{t: t, addr: "127.0.0.1:0", build: build, pages: map[string]string{}, files: map[string][]byte{}}
	s.pages["/blank"] = ""
	s.pages["/own"] = `<script src="/api/ape.js"></script>`
	s.start()
	t.Cleanup(s.kill)
	return s
}

// url is the address of one of the site's pages.
func (s *site) url(path string) string { return "http://" + s.addr + path }

// start begins to serve, on the same port as before.
func (s *site) start() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	s.listener = &tracked{Listener: listener}
	s.app = s.build()
	mux := http.NewServeMux()
	mux.Handle("/api/", s.door(s.app))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if file, ok := s.files[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
			w.Write(file)
		} else if body, ok := s.pages[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, `<!doctype html><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,">`+body)
		} else {
			http.NotFound(w, r)
		}
	})
	s.server = &http.Server{Handler: mux}
	go s.server.Serve(s.listener)
}

// kill ends the server as a crash does: connections break without a word.
func (s *site) kill() {
	s.listener.Close()
	s.listener.breakAll()
	s.server.Close()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	s.app.Shutdown(now)
}

// restart is a crash and a new process on the same port.
func (s *site) restart() {
	s.t.Helper()
	s.kill()
	s.start()
}

// door stands before ape.
func (s *site) door(app http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			if s.noSocket.Load() {
				http.Error(w, "no WebSocket here", http.StatusServiceUnavailable)
				return
			}
			s.upgrades.Add(1)
		}
		if r.Method == http.MethodPost {
			s.posts.Add(1)
		}
		app.ServeHTTP(w, r)
	})
}

// quiet is a logger for tests in which errors are expected.
var quiet = slog.New(slog.DiscardHandler)

// tracked is a listener that can break its connections.
type tracked struct {
	net.Listener
	conns conns
}

func (l *tracked) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.conns.add(c)
	}
	return c, err
}

func (l *tracked) breakAll() { l.conns.breakAll() }

// conns are TCP connections that can be broken together.
type conns struct {
	mu  sync.Mutex
	all []net.Conn
}

func (s *conns) add(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, c)
}

// breakAll resets every connection: the peer's next read fails.
func (s *conns) breakAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.all {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	s.all = nil
}

// link is a TCP proxy before a site, whose connections can be cut.
type link struct {
	listener net.Listener
	conns    conns
}

func newLink(t testing.TB, target string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener}
	var done sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		l.conns.breakAll()
		done.Wait()
	})
	done.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				near.Close()
				continue
			}
			l.conns.add(near)
			l.conns.add(far)
			done.Go(func() { io.Copy(near, far); near.Close() })
			done.Go(func() { io.Copy(far, near); far.Close() })
		}
	})
	return l
}

// url is the address of a page by way of the link.
func (l *link) url(path string) string { return "http://" + l.listener.Addr().String() + path }

// cut breaks every connection. New ones are accepted.
func (l *link) cut() { l.conns.breakAll() }

// next receives from a channel, within the guard.
func next[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(guard):
		t.Fatalf("waited in vain for %s", what)
		panic("not reached")
	}
}

// inside is what stands between the tags of a script.
func inside(script string) string {
	return strings.TrimSuffix(strings.TrimPrefix(script, "<script>"), "</script>")
}

// numbers is 0 to n-1, joined by commas.
func numbers(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return strings.Join(all, ",")
}
