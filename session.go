package ape

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// session is what outlives one connection of a client: its calls, its
// subscriptions and the numbered queue of what goes out to it.
//
// A session is attached while it has a connection, else detached, and at last
// ended. Lock order: channel.mu, then session.mu, then the locks of transport.
// Nothing waits under session.mu, and no user code runs there.
type session struct {
	peer
	server  *Server
	client  Client
	id      string
	secret  string        // of the resume token; ape.1
	cookie  string        // the browser's, "" when it came without
	shared  string        // key of a classic streaming session, "" for all others
	ready   chan struct{} // of a shared session: closed when OnConnect has returned
	request *http.Request
	auth    json.RawMessage

	slowing atomic.Bool // somebody is ending it as slow

	// The peer's mu guards these as well.
	conn    *conn // the current one, nil while detached
	streams []*conn
	seen    replays     // classic calls
	try     uint64      // ape.1: of the newest hello
	window  *time.Timer // ends a detached session
	open    bool        // OnConnect has let the client in
	away    away
	jobs    []func()
	working bool

	subsMu sync.Mutex
	subs   map[string]membership
	left   bool // no more subscriptions
}

// newSession makes a session that nobody can find yet. r is the request that it
// begins with.
func (s *Server) newSession(r *http.Request, d dialect, cookie, identity string, auth json.RawMessage) *session {
	x := &session{server: s, id: newID(), cookie: cookie, auth: auth}
	x.peer.init(&s.engine, x, d)
	x.identity = identity
	if identity != "" && d == lineWire && s.opt.KeyWindow > 0 {
		x.keys = s.keys
	}
	x.client.session = x
	x.request = trimmed(r)
	return x
}

// defaultLine is the longest line a client takes that names no limit.
const defaultLine = 1 << 20

// trimmed is a copy of r without its body and context, safe to keep.
func trimmed(r *http.Request) *http.Request {
	t := r.WithContext(context.Background())
	t.Body, t.GetBody, t.MultipartForm, t.Form, t.PostForm = http.NoBody, nil, nil, nil, nil
	t.Cancel, t.Response = nil, nil
	return t
}

// token is the resume token.
func (s *session) token() string { return s.server.id + "." + s.secret }

// embed takes over what OnConnect returned: its values, but not its end.
func (s *session) embed(values context.Context) {
	if values != nil && values != s.ctx {
		s.values = embedded{s.ctx, values}
	}
}

// embedded is a session's context with the values of another one.
type embedded struct {
	context.Context
	values context.Context
}

func (e embedded) Value(key any) any {
	if v := e.Context.Value(key); v != nil {
		return v
	}
	return e.values.Value(key)
}

// label names the client in logs.
func (s *session) label() string { return s.id }

// patience is how long Invoke waits for the client.
func (s *session) patience(string) time.Duration { return max(s.server.opt.Timeout, 0) }

// queued is told that an answer has been queued.
func (s *session) queued() { s.server.trim() }

// transport tells how the session is connected.
func (s *session) transport() Transport {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return Detached
	case s.conn != nil:
		return s.conn.transport
	case len(s.streams) > 0:
		return Streaming
	}
	return Detached
}

// attach makes c the current connection: it writes what first returns, and then
// what its client has not seen. mu is held. The connection before it gets
// nothing more. The result is "", or why the client cannot go on from seen, and
// then nothing has changed.
func (s *session) attach(c *conn, seen uint64, first func(recovered uint64) []byte) (gap string) {
	if gap := s.out.AttachWith(c.w, seen, first); gap != "" {
		return gap
	}
	if s.window != nil {
		s.window.Stop()
	}
	s.conn, s.writer = c, c.w
	c.session = s
	s.noteAway()
	return ""
}

// detach is called when a connection has ended by itself. why is the end of a
// session that cannot outlive it.
func (s *session) detach(c *conn, why *CloseError) {
	s.mu.Lock()
	switch {
	case s.ended:
		s.mu.Unlock()
		if s.out != nil {
			s.out.End()
		}
		return
	case s.conn != c:
		s.mu.Unlock()
		return // replaced
	}
	s.conn, s.writer = nil, nil
	s.out.Detach(c.w)
	linger := s.dialect.linger(&s.server.opt)
	if why == nil && linger > 0 {
		s.linger(linger)
		s.noteAway()
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if why == nil {
		why = &CloseError{Code: closeAbnormal}
	}
	s.end(why, true)
}

// linger ends the session after d unless it is attached by then. mu is held.
func (s *session) linger(d time.Duration) {
	if s.window != nil {
		s.window.Stop()
	}
	s.window = time.AfterFunc(d, func() {
		s.mu.Lock()
		idle := !s.ended && s.conn == nil && len(s.streams) == 0
		s.mu.Unlock()
		if idle {
			s.end(&CloseError{closeAbnormal, "the client did not come back"}, true)
		}
	})
}

// end ends the session, once. Its connection is closed with why, after what is
// queued unless drop.
func (s *session) end(why *CloseError, drop bool) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	conns := s.streams
	if s.conn != nil {
		conns = append(conns, s.conn)
	}
	s.streams = nil
	if s.window != nil {
		s.window.Stop()
	}
	waiting := s.finishPeer()
	s.jobs = nil
	opened := s.open
	s.mu.Unlock()

	s.cancel(why)
	for _, c := range waiting {
		c.ctx.end()
		c.forget()
		c.post(reply{err: Errorf(Closed, "the session has ended")})
	}
	s.server.sessions.remove(s)
	if s.shared != "" {
		s.server.sessions.leave(s.shared, s)
	}
	s.server.hub.forget(s)
	for _, c := range conns {
		c.close(why.Code, why.Reason, drop)
		if drop && c.out != nil {
			c.out.End()
		}
	}
	if s.out != nil && (drop || len(conns) == 0) {
		s.out.End() // with drop not only when the connection has ended
	}
	if opened {
		s.server.disconnected(s, why)
	}
}

// kept is how many bytes the session's queues hold.
func (s *session) kept() (bytes int, attached bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != nil {
		bytes, _ = s.out.Bytes()
	}
	for _, c := range s.streams {
		n, _ := c.out.Bytes()
		bytes += n
	}
	return bytes, s.conn != nil || len(s.streams) > 0
}

// slow ends a session whose client is too far behind. It may be called under
// any lock.
func (s *session) slow() {
	if !s.slowing.CompareAndSwap(false, true) {
		return
	}
	s.server.counters.slow.Add(1)
	s.server.spawn(func() {
		s.end(&CloseError{CloseSlow, "the client is too far behind (Options.MaxQueue)"}, true)
	})
}

// later runs f behind everything that was given to later before, on one
// goroutine. It reports false above the limit. mu is held.
func (s *session) later(f func()) bool {
	if s.ended || len(s.jobs) >= s.server.opt.MaxCalls {
		return false
	}
	s.jobs = append(s.jobs, f)
	if !s.working {
		s.working = true
		s.server.tasks.Go(s.work)
	}
	return true
}

// work runs jobs until none is left.
func (s *session) work() {
	for {
		s.mu.Lock()
		if len(s.jobs) == 0 {
			s.jobs, s.working = nil, false
			s.mu.Unlock()
			return
		}
		f := s.jobs[0]
		s.jobs = s.jobs[1:]
		s.mu.Unlock()
		s.server.guard("a hook", f)
	}
}

// endCode is the code of an ended session. mu is held.
func (s *session) endCode() CloseCode {
	var why *CloseError
	if errors.As(context.Cause(s.ctx), &why) {
		return why.Code
	}
	return CloseEnded
}

// report hands an error to OnError, off the reader. mu is held.
func (s *session) report(err error) {
	if hook := s.server.opt.OnError; hook != nil {
		s.later(func() { hook(&s.client, err) })
	}
}
