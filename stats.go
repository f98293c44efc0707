package ape

import (
	"sync/atomic"
	"time"
)

// Stats are figures of a server since it was made, but for those said to be of
// now.
type Stats struct {
	Clients  int // now, detached ones included
	Channels int // now: with subscribers or a last value

	Sessions  int64 // begun
	Resumed   int64 // connections that resumed a session
	Gaps      int64 // resumes that were refused
	Calls     int64 // begun
	Failed    int64 // calls that were answered with an error
	Pushes    int64 // events and channel messages queued, one for each client
	Malformed int64 // messages that could not be read
	TooLarge  int64 // messages above the limit
	Unsent    int64 // pushes left out because a client takes no message of that size
	Repeated  int64 // messages that had come before and were dropped
	Late      int64 // answers that came behind their deadline or cancellation, and were dropped
	Slow      int64 // clients closed as slow
	Panics    int64 // of controllers and hooks; each is logged with its stack
	Dropped   int64 // detached sessions ended above Options.MaxBacklog

	QueuedBytes int64 // now, in the queues of all clients
}

// counters are what Stats is made of.
type counters struct {
	sessions, resumed, gaps, calls, failed, pushes       atomic.Int64
	malformed, tooLarge, repeated, slow, dropped, panics atomic.Int64
	unsent, late                                         atomic.Int64
}

// Stats returns the server's figures. They are read one after the other.
func (s *Server) Stats() Stats {
	c := &s.counters
	return Stats{
		Clients: s.Online(), Channels: s.hub.size(), QueuedBytes: s.budget.Used(),
		Sessions: c.sessions.Load(), Resumed: c.resumed.Load(), Gaps: c.gaps.Load(),
		Calls: c.calls.Load(), Failed: c.failed.Load(), Pushes: c.pushes.Load(),
		Malformed: c.malformed.Load(), TooLarge: c.tooLarge.Load(), Repeated: c.repeated.Load(),
		Panics: c.panics.Load(), Unsent: c.unsent.Load(), Slow: c.slow.Load(), Dropped: c.dropped.Load(), Late: c.late.Load(),
	}
}

// Observer is told what happens in a server, for metrics and traces. Every
// field may be nil. The funcs run on the goroutines of calls and connections:
// they must return quickly, and not call back into the server.
type Observer struct {
	// Call is told of every answered call.
	Call func(CallInfo)
	// Connect is told of every connection of a client, resumed ones included.
	Connect func(ConnectInfo)
	// Disconnect is told of every session that has ended.
	Disconnect func(DisconnectInfo)
	// Gap is told of every resume that was refused, with the reason that the
	// client got: unknown, mismatch or overflow.
	Gap func(reason string)
}

// CallInfo describes an answered call.
type CallInfo struct {
	// Path is the registered path, with its "*"; "" when there was none for what
	// the client called.
	Path      string
	Code      Code // "" when the call succeeded
	Duration  time.Duration
	Dialect   string
	Transport Transport
}

// ConnectInfo describes a connection.
type ConnectInfo struct {
	Client    *Client
	Transport Transport
	Dialect   string
	Resumed   bool
}

// DisconnectInfo describes the end of a session.
type DisconnectInfo struct {
	Client *Client
	Code   CloseCode
}

func (p *peer) observeCall(c *Call, fail *Error) {
	if fail != nil {
		p.engine.counters.failed.Add(1)
	}
	o := p.engine.opt.Observer
	if o == nil || o.Call == nil {
		return
	}
	info := CallInfo{Duration: time.Since(c.since), Dialect: p.dialect.name(), Transport: p.owner.transport()}
	if c.route != nil {
		info.Path = c.route.pattern
	}
	if fail != nil {
		info.Code = fail.Code
	}
	p.engine.guard("Observer.Call", func() { o.Call(info) })
}

func (s *Server) observeConnect(x *session, c *conn) {
	if o := s.opt.Observer; o != nil && o.Connect != nil {
		info := ConnectInfo{Client: &x.client, Transport: c.transport, Dialect: x.dialect.name(), Resumed: !c.fresh && x.dialect == lineWire}
		s.guard("Observer.Connect", func() { o.Connect(info) })
	}
}

func (s *Server) observeGap(reason string) {
	s.counters.gaps.Add(1)
	if o := s.opt.Observer; o != nil && o.Gap != nil {
		s.guard("Observer.Gap", func() { o.Gap(reason) })
	}
}

// disconnected tells hooks of a session's end, off whatever ended it.
func (s *Server) disconnected(x *session, why *CloseError) {
	hook, o := s.opt.OnDisconnect, s.opt.Observer
	if hook == nil && (o == nil || o.Disconnect == nil) {
		return
	}
	s.spawn(func() {
		if o != nil && o.Disconnect != nil {
			s.guard("Observer.Disconnect", func() { o.Disconnect(DisconnectInfo{Client: &x.client, Code: why.Code}) })
		}
		if hook != nil {
			s.guard("OnDisconnect", func() { hook(&x.client, why) })
		}
	})
}
