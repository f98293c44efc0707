package ape

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/goape/ape/codec"
	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// lineWire is the dialect ape.1; docs/protocol.md specifies it.
var lineWire dialect = lineDialect{}

type lineDialect struct{}

// lineProtocol is the name of the dialect in headers.
const lineProtocol = "ape.1"

func (lineDialect) name() string { return lineProtocol }

func (lineDialect) linger(o *Options) time.Duration { return o.ResumeWindow }

func (lineDialect) frame(p *push, last bool) (transport.Frame, error) {
	return p.lineFrame(last), nil
}

func (lineDialect) ended(channel string, why *Error) (transport.Frame, bool) {
	b := line.AppendEnded(transport.Begin(nil), channel, string(why.Code), why.Message, nil)
	return transport.Text(b), true
}

func (d lineDialect) answer(c *Call, result any, fail *Error) (transport.Frame, *Error) {
	if fail == nil {
		f, err := lineResult(c, result)
		if err == nil {
			return f, nil
		}
		fail = c.misencoded(err)
	}
	f := lineFailure(c.id, fail)
	if f.Size() > c.peer.limit() {
		f = lineFailure(c.id, untold(fail))
	}
	return f, fail
}

// lineResult is the r line of a result, or the z line of a stream that ends
// without one.
func lineResult(c *Call, result any) (transport.Frame, error) {
	if c.streams() && result == codec.Undefined {
		return transport.Text(line.AppendEnd(transport.Begin(nil), c.id)), nil
	}
	return c.peer.lineOf(result, func(b []byte) []byte { return line.AppendAnswer(b, c.id) })
}

// lineOf is the line of a value, with the head that begin appends. It fails when
// the value cannot be encoded, and with too_large when the other end does not
// take as much.
func (p *peer) lineOf(v any, begin func([]byte) []byte) (transport.Frame, error) {
	scratch := buffers.get()
	defer buffers.put(scratch)
	b := begin(transport.Begin((*scratch)[:0]))
	raw, isOctets := v.([]byte)
	switch {
	case isOctets:
		b = line.AppendOctets(b, raw)
	case v == codec.Undefined:
		b = line.AppendNone(b)
	default:
		var err error
		if b, err = appendValue(append(b, ' '), v, p.limit()); err != nil {
			return transport.Frame{}, err
		}
		b = append(b, '\n')
	}
	*scratch = b
	if len(b) > p.limit() {
		return transport.Frame{}, codec.ErrTooLarge
	}
	own := append(make([]byte, 0, len(b)), b...)
	if isOctets {
		return transport.Binary(own, len(raw)), nil
	}
	return transport.Text(own), nil
}

// lineFailure is an e line.
func lineFailure(id uint64, e *Error) transport.Frame {
	return transport.Text(line.AppendFail(transport.Begin(nil), id, string(e.Code), e.Message, errorData(e)))
}

// takeLine takes a line that came by c, or by a POST when c is nil. num is its
// number if it counts.
func (s *session) takeLine(c *conn, num uint64, u line.Unit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return errOver
	case c != nil && s.conn != c:
		return errSealed
	}
	return s.receive(num, u)
}

// take carries out what only a client sends. mu is held.
func (s *session) take(e *line.Envelope) {
	switch e.Op {
	case line.Event:
		if e.UnknownRequired() {
			s.tell(0, Errorf(Unsupported, "m has a required param that this server does not know"))
			return
		}
		c := &Call{peer: &s.peer, event: true, octets: e.Octets}
		c.keep(e.Payload)
		if fail := s.admit(c, e.Name); fail != nil {
			s.tell(0, fail)
		}
	case line.Subscribe, line.Unsubscribe:
		s.takeSubscription(e)
	default:
		s.tell(e.ID, Errorf(Unsupported, "a client does not send %v", e.Op))
	}
}

// quit ends the connection when the client leaves. mu is held.
func (s *session) quit(payload []byte) error {
	var q struct{ Code string }
	if json.Unmarshal(payload, &q) == nil && q.Code == "bye" {
		return errBye
	}
	return nil
}

func (s *session) takeSubscription(e *line.Envelope) {
	if !s.opens(e) {
		return
	}
	id, channel := e.ID, trimSlash(string(e.Name))
	subscribe := e.Op == line.Subscribe
	_, last := e.Param("l")
	if s.calls.open == nil {
		s.calls.open = make(map[uint64]*Call)
	}
	s.calls.open[id] = &Call{peer: &s.peer, id: id, answered: true} // nothing updates it
	s.calls.count++
	done := func() {
		s.mu.Lock()
		delete(s.calls.open, id)
		s.calls.count--
		s.mu.Unlock()
	}
	answered := func() {
		done()
		s.reply(transport.Text(line.AppendNone(line.AppendAnswer(transport.Begin(nil), id))))
	}
	ok := s.later(func() {
		if err := checkName(channel); err != nil {
			done()
			s.reply(lineFailure(id, err.(*Error)))
			return
		}
		if !subscribe {
			s.server.hub.unsubscribe(s, channel, byClient, answered)
			return
		}
		if err := s.subscribe(channel, last, answered); err != nil {
			done()
			var e *Error
			errors.As(err, &e)
			s.reply(lineFailure(id, e))
		}
	})
	if !ok {
		delete(s.calls.open, id)
		s.calls.count--
		s.tell(id, busy(time.Second, "too many subscriptions at once"))
	}
}

// reply queues what answers a subscription.
func (s *session) reply(f transport.Frame) {
	if s.out.Append(f, true) == transport.ErrFull {
		s.slow()
	}
}
