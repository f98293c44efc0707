package ape

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// conn is one connection of a session: a WebSocket, or the response of a
// streaming GET.
type conn struct {
	w         *transport.Writer
	transport Transport
	dialect   dialect
	session   *session // set before OnConnect runs

	// base is the number of the last line that the session had when it was
	// attached; ape.1.
	base uint64
	// fresh is set when the connection has opened its session.
	fresh bool

	// gone ends when the client goes while OnConnect runs.
	gone context.Context

	// Heartbeats. heard is when a byte last came, in Unix nanoseconds; a WebSocket
	// knows by itself.
	heard  atomic.Int64
	socket *transport.Socket
	beat   *time.Timer

	// out is the queue of a classic streaming GET, pulse its heartbeat.
	out   *transport.Outbox
	pulse string
}

// close ends the connection: with the code that the dialect has for it, after
// what is queued unless drop.
func (c *conn) close(code CloseCode, reason string, drop bool) {
	var last []byte
	if c.dialect == lineWire {
		last = quitLine(code, reason)
	}
	if code == closeAbnormal {
		code = closeAway
	}
	c.w.End(int(code), shorten(reason), last, drop)
}

// shorten makes a reason fit a close frame, whole characters only.
func shorten(reason string) string {
	const most = 123
	if len(reason) <= most {
		return reason
	}
	end := most
	for end > 0 && reason[end]&0xc0 == 0x80 {
		end--
	}
	return reason[:end]
}

// startHeart begins to look after the connection. every is the silence that
// asks for a sign of life.
func (c *conn) startHeart(every time.Duration) {
	begin := time.Now()
	c.heard.Store(begin.UnixNano())
	var mine atomic.Pointer[time.Timer]
	t := time.AfterFunc(every, func() {
		if wait := c.heartbeat(every, begin); wait > 0 {
			if t := mine.Load(); t != nil {
				t.Reset(wait)
			}
		}
	})
	mine.Store(t)
	c.beat = t
}

// stopHeart ends what startHeart began.
func (c *conn) stopHeart() {
	if c.beat != nil {
		c.beat.Stop()
	}
}

// heartbeat asks for a sign of life when it is time, and returns when to look
// again; never, when the connection is ending.
func (c *conn) heartbeat(every time.Duration, begin time.Time) time.Duration {
	if c.w.Sealed() {
		return 0
	}
	now := time.Now()
	heard := c.lastHeard()
	wrote := c.w.LastWrite()
	if wrote.IsZero() {
		wrote = begin
	}
	if c.dialect == lineWire && c.socket == nil && now.Sub(heard) >= 3*every {
		c.close(CloseIdle, "nothing was heard from the client", true)
		return 0
	}
	oldest := wrote
	if heard.Before(oldest) && (c.socket != nil || c.dialect == lineWire) {
		oldest = heard
	}
	if wait := every - now.Sub(oldest); wait > 0 {
		return wait
	}
	switch {
	case c.dialect == lineWire:
		c.w.Control(line.AppendPing(nil))
	case c.socket != nil:
		c.w.Ping()
	default:
		c.w.Control([]byte(c.pulse))
	}
	return every
}

func (c *conn) lastHeard() time.Time {
	if c.socket != nil {
		return c.socket.Heard()
	}
	return time.Unix(0, c.heard.Load())
}

// reconnectGrace is what a client has for coming back beyond the time it was
// given.
const reconnectGrace = 5 * time.Second

// reconnect asks the client to resume over another connection, and ends this
// one when it does not.
func (s *session) reconnect(within time.Duration) {
	c := s.askAway(within, "")
	if c == nil {
		return
	}
	late := time.AfterFunc(within+reconnectGrace, func() { c.close(CloseRestart, "", true) })
	context.AfterFunc(s.ctx, func() { late.Stop() })
}

// askAway asks the client to resume over another connection within a time, and
// returns the one that it is asked over; nil when it cannot be asked.
func (s *session) askAway(within time.Duration, message string) *conn {
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	if c == nil || s.dialect != lineWire {
		return nil
	}
	c.w.Trail(line.AppendQuit(nil, CloseRestart.String(), "resume", within.Milliseconds(), message))
	return c
}
