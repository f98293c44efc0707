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
		fail = err
	}
	f := lineFailure(c.id, fail)
	if f.Size() > c.session.line {
		f = lineFailure(c.id, untold(fail))
	}
	return f, fail
}

// lineResult is an r line.
func lineResult(c *Call, result any) (transport.Frame, *Error) {
	scratch := buffers.get()
	defer buffers.put(scratch)
	b := line.AppendAnswer(transport.Begin((*scratch)[:0]), c.id)
	octets := 0
	if raw, ok := result.([]byte); ok {
		b = line.AppendOctets(b, raw)
		octets = len(raw)
	} else if result == codec.Undefined {
		b = line.AppendNone(b)
	} else {
		var err error
		if b, err = appendValue(append(b, ' '), result, c.session.line); err != nil {
			return transport.Frame{}, c.misencoded(err)
		}
		b = append(b, '\n')
	}
	*scratch = b
	if len(b) > c.session.line {
		return transport.Frame{}, Errorf(TooLarge, "the answer has %d bytes, this client takes %d", len(b), c.session.line)
	}
	own := append(make([]byte, 0, len(b)), b...)
	if octets > 0 || isOctets(result) {
		return transport.Binary(own, octets), nil
	}
	return transport.Text(own), nil
}

func isOctets(v any) bool { _, ok := v.([]byte); return ok }

// lineFailure is an e line.
func lineFailure(id uint64, e *Error) transport.Frame {
	return transport.Text(line.AppendFail(transport.Begin(nil), id, string(e.Code), e.Message, errorData(e)))
}

// Why a line was not taken. The connection it came by has nothing more to say
// to the session.
var (
	errSealed = errors.New("ape: another connection has taken over")
	errAhead  = errors.New("ape: lines are missing before this one")
	errOver   = errors.New("ape: the session has ended")
	errBye    = errors.New("ape: the client has left")
)

// takeLine takes a line that came by c, or by a POST when c is nil. num is its
// number if it counts. Taking and dispatching are one step; nothing waits.
func (s *session) takeLine(c *conn, num uint64, u line.Unit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return errOver
	case c != nil && s.conn != c:
		return errSealed
	case !line.Counted(u.Head):
		return s.control(u)
	case num <= s.got:
		s.server.counters.repeated.Add(1)
		return nil
	case num > s.got+1:
		return errAhead
	}
	s.got = num
	s.note(u.Size)
	if u.Long {
		s.tooLong(u.Head)
		return nil
	}
	var e line.Envelope
	if err := line.Parse(u.Head, u.Octets, u.Binary, &e); err != nil {
		s.misread(u.Head, err)
		return nil
	}
	s.dispatch(&e)
	return nil
}

// dispatch carries out a counted line.
func (s *session) dispatch(e *line.Envelope) {
	switch e.Op {
	case line.Call, line.Event:
		s.takeCall(e)
	case line.Subscribe, line.Unsubscribe:
		s.takeSubscription(e)
	case line.Cancel:
		if c := s.calls.open[e.ID]; c != nil {
			c.ctx.end()
		}
	case line.Answer, line.Fail, line.Item, line.End, line.Credit:
		// Nothing of that id is open: it crossed with the end of the call.
	default:
		s.tell(e.ID, Errorf(Unsupported, "a client does not send %v", e.Op))
	}
}

// opens checks a line that opens something: its id, its params, the number of
// what is open.
func (s *session) opens(e *line.Envelope) bool {
	_, used := s.calls.open[e.ID]
	switch {
	case e.ID%2 == 0 || used:
		s.tell(0, Errorf(Malformed, "%v: the id %d is not free for a client; take odd ones, each once", e.Op, e.ID))
	case e.UnknownRequired():
		s.tell(e.ID, Errorf(Unsupported, "%v has a required param that this server does not know", e.Op))
	case s.calls.count >= s.server.opt.MaxCalls:
		s.tell(e.ID, busy(time.Second, "%d calls are open, which is the limit; wait for answers", s.calls.count))
	default:
		return true
	}
	return false
}

func (s *session) takeCall(e *line.Envelope) {
	event := e.Op == line.Event
	if event && e.UnknownRequired() {
		s.tell(0, Errorf(Unsupported, "m has a required param that this server does not know"))
		return
	}
	if !event && !s.opens(e) {
		return
	}
	var timeout time.Duration
	if ms, ok, err := e.ParamNumber("t"); err != nil {
		s.tell(e.ID, Errorf(Malformed, "t is not a number of milliseconds"))
		return
	} else if ok {
		timeout = time.Duration(max(1, min(ms, uint64(longest/time.Millisecond)))) * time.Millisecond
	}
	c := &Call{session: s, id: e.ID, event: event, octets: e.Octets}
	if e.Payload != nil {
		c.keep(e.Payload)
	}
	if fail := s.admit(c, e.Name, timeout); fail != nil {
		s.tell(e.ID, fail)
	}
}

// longest is the longest deadline that means one.
const longest = 365 * 24 * time.Hour

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
	s.calls.open[id] = &Call{session: s, id: id}
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

// tell queues a failure that the protocol itself makes, on the reader. mu is
// held.
func (s *session) tell(id uint64, e *Error) {
	if s.out.Append(lineFailure(id, e), false) == transport.ErrFull {
		s.slow()
	}
}

// misread answers a line that could not be read. mu is held.
func (s *session) misread(head []byte, err error) {
	id := line.FirstID(head)
	if errors.Is(err, line.ErrUnsupported) {
		s.tell(id, Errorf(Unsupported, "unknown operation"))
		return
	}
	switch line.OpOf(head) {
	case line.Answer, line.Fail, line.Cancel, line.Item, line.End, line.Credit:
		s.server.counters.malformed.Add(1)
		return
	case line.Event, line.Message:
		id = 0
	default: // what opens something, or an unknown op
		if _, used := s.calls.open[id]; used || id%2 == 0 {
			id = 0
		}
	}
	s.server.counters.malformed.Add(1)
	s.tell(id, Errorf(Malformed, "the line could not be read"))
}

// tooLong answers a line that was discarded for its length. mu is held.
func (s *session) tooLong(head []byte) {
	s.server.counters.tooLarge.Add(1)
	id := line.FirstID(head)
	switch line.OpOf(head) {
	case line.Call, line.Subscribe, line.Unsubscribe:
	case line.Event:
		id = 0
	default:
		return
	}
	s.tell(id, Errorf(TooLarge, "a message may have %d bytes (Options.MaxMessage)", s.server.opt.MaxMessage))
}

// control carries out a line that does not count. mu is held.
func (s *session) control(u line.Unit) error {
	var e line.Envelope
	if u.Long || line.Parse(u.Head, u.Octets, u.Binary, &e) != nil {
		return nil
	}
	switch e.Op {
	case line.Ack:
		s.out.Ack(e.Count) // what was never written is not acknowledged by it
	case line.Ping:
		s.acknowledge()
	case line.Quit:
		var q struct{ Code string }
		if json.Unmarshal(e.Payload, &q) == nil && q.Code == "bye" {
			return errBye
		}
	}
	return nil
}

// Above these an acknowledgement goes out at once.
const (
	ackLines = 32
	ackBytes = 32 << 10
)

// note counts a line that was taken towards the next acknowledgement. mu is
// held.
func (s *session) note(size int) {
	if s.unacked == 0 {
		if s.ack == nil {
			s.ack = time.AfterFunc(ackDelay, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.unacked > 0 && !s.ended {
					s.acknowledge()
				}
			})
		} else {
			s.ack.Reset(ackDelay)
		}
	}
	s.unacked += size + ackBytes/ackLines
	if s.unacked >= ackBytes {
		s.acknowledge()
	}
}

// acknowledge tells the client what was taken. mu is held.
func (s *session) acknowledge() {
	if s.conn == nil {
		return
	}
	s.unacked = 0
	s.conn.w.Acknowledge(s.got)
}
