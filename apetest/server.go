package apetest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/goape/ape/internal/memnet"
)

// How long the end of a test waits for what the app still runs: so that it may
// end by itself, and then for what was told to end.
const (
	grace    = time.Second
	patience = 5 * time.Second
)

// Server serves an app over connections in memory. Its methods may be called
// concurrently.
type Server struct {
	app  http.Handler
	ln   *memnet.Listener
	http *http.Server
	idle *http.Transport // of Client
	done chan struct{}   // closed when the test ends

	mu      sync.Mutex // never held while waiting
	conns   []ends
	kept    int // of conns when those that had ended were last taken out
	port    int // of the client of the last one
	dials   int
	refuse  bool
	ended   bool
	network faults
}

// ends are the two ends of a connection.
type ends struct{ client, server *memnet.Conn }

// New serves app until t ends. app gets every request, whatever its host and
// path are, so an ape.Server needs no router here. Inside a bubble of
// testing/synctest, call New with the bubble's t.
//
// When t ends, all connections are cut, and app.Shutdown is called if app has
// such a method, as ape.Server has. When handlers or controllers go on for more
// than some seconds although their contexts have ended, t fails. An ape.Server
// behind a router is the caller's to shut down, in a t.Cleanup that is
// registered before New.
func New(t testing.TB, app http.Handler) *Server {
	t.Helper()
	if app == nil {
		t.Fatal("apetest: New: the app is nil; pass an ape.Server or any other http.Handler")
	}
	base, cancel := context.WithCancel(context.Background())
	s := &Server{app: app, ln: memnet.Listen(), done: make(chan struct{})}
	s.http = &http.Server{Handler: app, BaseContext: func(net.Listener) context.Context { return base }}
	s.idle = &http.Transport{DialContext: s.DialContext}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.http.Serve(s.ln)
	}()
	t.Cleanup(func() {
		s.end()
		cancel()
		s.stop(t)
		<-served
	})
	return s
}

// URL is where an ape.Server answers: "http://ape.test/api/ape", for ape.Dial
// and, with "/ping" behind it, for an HTTP client. Behind a router of your own,
// any other URL leads to the server as well.
func (s *Server) URL() string { return "http://ape.test/api/ape" }

// Client returns a new HTTP client whose requests go to the server, whatever
// host they name. All such clients share their idle connections, but nothing
// else, so each may get a cookie jar.
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.idle} }

// DialContext connects to the server, whatever the network and the address. It
// fits ape.DialOptions, http.Transport and everything else that dials. It
// returns an error that is syscall.ECONNREFUSED while connections are refused
// and after the test.
func (s *Server) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := s.travel(ctx); err != nil {
		return nil, dialError(err)
	}
	c, err := s.connect()
	if err != nil {
		return nil, dialError(err)
	}
	if err := s.ln.Hand(ctx, c.server); err != nil {
		c.client.Reset()
		if err == net.ErrClosed {
			err = errRefused
		}
		return nil, dialError(err)
	}
	return c.client, nil
}

// Conns returns how many connections the server has open. One that its client
// has closed counts until the server has noticed it: in a bubble, call
// synctest.Wait before.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.conns {
		if c.server.Open() {
			n++
		}
	}
	return n
}

// Dials returns how many connections were asked for, refused ones included.
func (s *Server) Dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// travel waits for as long as TCP's handshake is on its way.
func (s *Server) travel(ctx context.Context) error {
	s.mu.Lock()
	s.dials++
	delay := s.network.delay
	s.mu.Unlock()
	if err := ctx.Err(); err != nil || delay == 0 {
		return err
	}
	timer := time.NewTimer(2 * delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return errRefused
	}
}

// connect makes a connection with the network's faults.
func (s *Server) connect() (ends, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse || s.ended {
		return ends{}, errRefused
	}
	s.port = max(1024, (s.port+1)%65_536)
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: s.port}
	var c ends
	c.client, c.server = memnet.Pipe(0)
	c.client.SetAddrs(addr, serverAddr)
	c.server.SetAddrs(serverAddr, addr)
	s.network.apply(c.client)
	s.conns = append(s.conns, c)
	if len(s.conns) >= 2*s.kept+64 { // seldom, so that many connections cost no more than few
		s.conns = slices.DeleteFunc(s.conns, func(c ends) bool { return !c.client.Open() && !c.server.Open() })
		s.kept = len(s.conns)
	}
	return c, nil
}

// end cuts all connections and refuses those to come.
func (s *Server) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	close(s.done)
	s.Cut()
}

// stop ends what the app still runs.
func (s *Server) stop(t testing.TB) {
	if app, ok := s.app.(interface{ Shutdown(context.Context) error }); ok {
		err := within(grace, app.Shutdown)
		if errors.Is(err, context.DeadlineExceeded) {
			err = within(patience, app.Shutdown) // the contexts of its calls have ended by now
		}
		if err != nil {
			t.Errorf("apetest: the app's Shutdown: %v; does a controller or a hook go on although its context has ended?", err)
		}
	}
	// Close would not wait for handlers.
	if err := within(patience, s.http.Shutdown); err != nil {
		t.Errorf("apetest: a handler goes on %s after its request's context has ended", patience)
	}
	s.http.Close()
	s.ln.Close()
}

// within calls f with a context that ends after d.
func within(d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return f(ctx)
}
