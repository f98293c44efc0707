package ape

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/goape/ape/internal/keys"
	"github.com/goape/ape/internal/transport"
)

// Server is one instance of ape in a process: an http.Handler that serves
// everything below the place where it is mounted. Make it with [New]. The zero
// value does not work.
type Server struct {
	engine
	id         string
	middleware []Middleware
	declared   []Declaration
	origins    *origins
	sessions   registry
	hub        hub
	budget     *transport.Budget
	keys       *keys.Table // what calls with a key were answered
	handshakes atomic.Int64
	// draining is set as soon as Shutdown begins.
	draining atomic.Bool
	trimming atomic.Bool
}

// New returns a server. Nil options mean the defaults. It panics when
// TrustedOrigins holds something that is no origin.
func New(o *Options) *Server {
	s := &Server{id: rand.Text()[:8]}
	s.init(o.withDefaults())
	s.keys = keys.New(keys.Options{Window: s.opt.KeyWindow})
	s.origins = newOrigins(&s.opt)
	s.hub.init(s.opt.MaxLastValues)
	s.sessions.init()
	s.budget = transport.NewBudget(s.opt.MaxBacklog)
	return s
}

// ServerID is this server's id: 8 characters, new for every server.
func (s *Server) ServerID() string { return s.id }

// ServeHTTP serves the routes of ape, wherever the server is mounted: a path
// that ends in /ape (WebSocket), /ape/poll, /ape/ping, /ape.js, /ape.mjs,
// /ape.more.mjs or /ape.d.ts. Everything else goes to Options.NotFound.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch routeOf(r.URL.Path) {
	case "ape":
		s.serveSocket(w, r)
	case "ape/poll":
		s.servePoll(w, r)
	case "ape/ping":
		s.servePing(w, r)
	case "ape.js", "ape.mjs", "ape.more.mjs", "ape.d.ts":
		s.serveFile(w, r)
	default:
		s.opt.NotFound.ServeHTTP(w, r)
	}
}

// routeOf returns the end of a path that names a route of ape, "" for none.
func routeOf(path string) string {
	path = strings.TrimPrefix(path, "/")
	for _, route := range [...]string{"ape", "ape/poll", "ape/ping", "ape.js", "ape.mjs", "ape.more.mjs", "ape.d.ts"} {
		if path == route || strings.HasSuffix(path, route) && path[len(path)-len(route)-1] == '/' {
			return route
		}
	}
	return ""
}

// Clients yields the server's clients, detached ones included. The order means
// nothing; clients that come meanwhile may be missing.
func (s *Server) Clients() func(yield func(*Client) bool) {
	return func(yield func(*Client) bool) {
		for _, x := range s.sessions.all() {
			if !yield(&x.client) {
				return
			}
		}
	}
}

// Client returns the client of an id, nil when it is not on this server.
func (s *Server) Client(id string) *Client {
	if x := s.sessions.find(id); x != nil {
		return &x.client
	}
	return nil
}

// Online is the number of the server's clients, detached ones included.
func (s *Server) Online() int { return s.sessions.len() }

// trim ends sessions, detached ones first and of those the ones with the longest
// queue, until the backlog is below its limit.
func (s *Server) trim() {
	if !s.budget.Over() || !s.trimming.CompareAndSwap(false, true) {
		return
	}
	if !s.spawn(func() {
		defer s.trimming.Store(false)
		for s.budget.Over() {
			x := s.sessions.longest()
			if x == nil {
				return
			}
			s.counters.dropped.Add(1)
			x.end(&CloseError{CloseSlow, fmt.Sprintf("the queues of all clients together are above %d bytes", s.opt.MaxBacklog)}, true)
		}
	}) {
		s.trimming.Store(false)
	}
}
