package ape

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/goape/ape/codec"
	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// Server is one instance of ape in a process: an http.Handler that serves
// everything below the place where it is mounted. Make it with [New]. The zero
// value does not work.
type Server struct {
	opt        Options
	id         string
	routes     routes
	middleware []Middleware
	origins    *origins
	sessions   registry
	hub        hub
	budget     *transport.Budget
	counters   counters
	split      line.Splitter
	codec      codec.Options // for what clients send
	handshakes atomic.Int64

	// ctx is the parent of every session's context.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// tasks counts the goroutines that the server has started. closed is set
	// once none may be added from outside of them.
	life   sync.Mutex
	closed bool
	tasks  sync.WaitGroup
	// workers run the calls.
	workers workers
	// draining is set as soon as Shutdown begins.
	draining atomic.Bool
	trimming atomic.Bool
}

// New returns a server. Nil options mean the defaults. It panics when
// TrustedOrigins holds something that is no origin.
func New(o *Options) *Server {
	s := &Server{opt: o.withDefaults(), id: rand.Text()[:8], routes: newRoutes()}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.origins = newOrigins(&s.opt)
	s.hub.init(s.opt.MaxLastValues)
	s.sessions.init()
	s.codec = codec.Options{MaxDepth: s.opt.MaxDepth, MaxSize: 4 * s.opt.MaxMessage}
	s.workers.group = &s.tasks
	s.split = line.Splitter{Limit: s.opt.MaxMessage, Hard: hardFactor * s.opt.MaxMessage}
	s.budget = transport.NewBudget(s.opt.MaxBacklog)
	return s
}

// ServerID is this server's id: 8 characters, new for every server.
func (s *Server) ServerID() string { return s.id }

// ServeHTTP serves the routes of ape, wherever the server is mounted: a path
// that ends in /ape (WebSocket), /ape/poll, /ape/ping, /ape.js, /ape.mjs or
// /ape.d.ts. Everything else goes to Options.NotFound.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch routeOf(r.URL.Path) {
	case "ape":
		s.serveSocket(w, r)
	case "ape/poll":
		s.servePoll(w, r)
	case "ape/ping":
		s.servePing(w, r)
	case "ape.js", "ape.mjs", "ape.d.ts":
		s.serveFile(w, r)
	default:
		s.opt.NotFound.ServeHTTP(w, r)
	}
}

// routeOf returns the end of a path that names a route of ape, "" for none.
func routeOf(path string) string {
	path = strings.TrimPrefix(path, "/")
	for _, route := range [...]string{"ape", "ape/poll", "ape/ping", "ape.js", "ape.mjs", "ape.d.ts"} {
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

// spawn runs f on a goroutine that Shutdown waits for. After Shutdown it does
// nothing and returns false.
func (s *Server) spawn(f func()) bool {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return false
	}
	s.tasks.Go(f)
	return true
}

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
