package ape

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/goape/ape/codec"
	"github.com/goape/ape/internal/classic"
	"github.com/goape/ape/internal/transport"
)

// classicWire is the dialect of the browsers of npm's api-ape, 2.3.0 and 4.1.1.
var classicWire dialect = classicDialect{}

type classicDialect struct{}

func (classicDialect) name() string { return "classic" }

// linger: over a WebSocket a classic session ends with its socket; a streaming
// session has no conn and lingers by itself.
func (classicDialect) linger(*Options) time.Duration { return 0 }

func (classicDialect) frame(p *push, _ bool) (transport.Frame, error) { return p.classicFrame() }

func (classicDialect) ended(string, *Error) (transport.Frame, bool) {
	return transport.Frame{}, false
}

func (classicDialect) answer(c *Call, result any, fail *Error) (transport.Frame, *Error) {
	scratch := buffers.get()
	defer buffers.put(scratch)
	b, fail := appendClassic(transport.Begin((*scratch)[:0]), c, result, fail)
	*scratch = b
	return transport.Text(bytes.Clone(b)), fail
}

// appendClassic writes the answer of a call, which becomes a failure when it
// cannot be encoded.
func appendClassic(b []byte, c *Call, result any, fail *Error) ([]byte, *Error) {
	start := len(b)
	if fail == nil {
		full, err := appendData(classic.AppendReply(b, c.query), result, c.peer.limit())
		switch {
		case err != nil:
			fail = c.misencoded(err)
		case len(full)-start > c.peer.limit():
			fail = Errorf(TooLarge, "the answer has %d bytes, a client takes %d", len(full)-start, c.peer.limit())
		default:
			return full, nil
		}
	}
	b = appendClassicError(b[:start], c.query, fail)
	if len(b)-start > c.peer.limit() {
		b = appendClassicError(b[:start], c.query, untold(fail))
	}
	return b, fail
}

// appendClassicError writes an error as both client versions read it.
func appendClassicError(b []byte, query string, e *Error) []byte {
	return classic.AppendError(b, query, string(e.Code), e.Message, errorData(e))
}

// classicCodec writes arrays of arrays of typed values so that api-ape's
// browsers can read them.
var classicCodec = codec.Options{HoistArrays: true}

// appendData adds the member data to a message that lacks its end, and the end.
// most is that of appendValue.
func appendData(b []byte, data any, most int) ([]byte, error) {
	switch v := data.(type) {
	case rawJSON:
		return append(append(append(b, `,"data":`...), v...), '}'), nil
	default:
		if data == codec.Undefined {
			return append(b, '}'), nil
		}
	}
	b, err := appendClassicMember(append(b, ','), data, most)
	if err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

// takeMessage takes a classic message that came over c, as a whole.
func (s *session) takeMessage(c *conn, doc []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return errOver
	case s.conn != c:
		return errSealed
	}
	var m classic.Message
	if err := classic.Scan(doc, &m); err != nil {
		s.server.counters.malformed.Add(1)
		s.report(fmt.Errorf("ape: classic message: %w", err))
		return nil
	}
	if s.takeClassicSubscription(&m, nil) {
		return nil
	}
	query := classic.QueryID(doc)
	if fail := s.takeClassicCall(doc, &m, query, nil); fail != nil {
		s.refuse(query, fail)
	}
	return nil
}

// refuse answers a classic call that does not run. mu is held.
func (s *session) refuse(query string, fail *Error) {
	f := transport.Text(appendClassicError(transport.Begin(nil), query, fail))
	if s.out.Append(f, false) == transport.ErrFull {
		s.slow()
	}
}

// tooLongClassic answers a message that was discarded for its length.
func (s *session) tooLongClassic(query string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.counters.tooLarge.Add(1)
	s.refuse(query, Errorf(TooLarge, "a message may have %d bytes (Options.MaxMessage)", s.server.opt.MaxMessage))
}

// skew is how far a classic client's clock may be off.
const skew = time.Minute

// takeClassicCall begins a call. The refusal, if any, is the caller's to send;
// a call that has been seen already is dropped without an answer, since a
// second one with the same id would raise an error in the page. A message
// without a time is never taken for a repetition: it may be sent again with
// right, and nothing tells the two apart. mu is held.
func (s *session) takeClassicCall(doc []byte, m *classic.Message, query string, posted chan<- reply) *Error {
	if now := time.Now(); m.HasCreatedAt {
		if s.seen.again(query, now) {
			s.server.counters.repeated.Add(1)
			if posted != nil {
				return Errorf(Conflict, "this very message was sent before")
			}
			return nil
		}
		if off := now.Sub(time.UnixMilli(m.CreatedAt)); off > skew || off < -skew {
			return Errorf(Invalid, "createdAt is %v away from the server's time; correct the clock of one of them", off.Round(time.Millisecond))
		}
	}
	c := &Call{peer: &s.peer, query: query, posted: posted}
	switch {
	case m.Data == nil:
	case m.Tag != nil || bytes.Contains(m.Data, []byte("<!")):
		c.message = bytes.Clone(doc)
		c.payload = c.message
	default:
		c.keep(m.Data)
	}
	return s.admit(c, classic.Bare(m.Type))
}

// takeClassicSubscription carries out subscribe and unsubscribe, which win over
// everything else in a message. done gets the outcome. mu is held.
func (s *session) takeClassicSubscription(m *classic.Message, done func(error)) bool {
	name, subscribe := m.Subscribe, true
	if len(name) == 0 {
		name, subscribe = m.Unsubscribe, false
	}
	if len(name) == 0 {
		return false
	}
	name = classic.Bare(name)
	channel := string(name[:min(len(name), maxName+1)]) // a longer one is refused and must not wait
	ok := s.later(func() {
		err := checkName(channel)
		switch {
		case err != nil:
		case subscribe:
			err = s.subscribe(channel, true, nil)
		default:
			s.server.hub.unsubscribe(s, channel, byClient, nil)
		}
		if done != nil {
			done(err)
		}
		if hook := s.server.opt.OnError; err != nil && hook != nil {
			hook(&s.client, fmt.Errorf("ape: subscribe to %q: %w", shown(channel), err))
		}
	})
	if !ok && done != nil {
		done(busy(time.Second, "too many subscriptions at once"))
	}
	return true
}

// asError returns err as an *Error.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Errorf(Internal, "internal error")
}
