package ape

import (
	"strconv"
	"time"

	"github.com/goape/ape/internal/keys"
	"github.com/goape/ape/internal/transport"
)

// A call with an idempotency key runs once, however often it is sent, in this
// session or a later one of the same identity: a client that does not know
// whether its call has run sends it again and gets the first one's answer.

// keyed is the key of a call.
type keyed struct {
	key   string
	entry *keys.Entry  // of the call that runs
	leave func() bool  // of one that waits for its answer
	have  *keys.Answer // of one that needs not run, but has to wait until its answer can be queued
}

// startKeyed runs a booked call, or has it wait for the one that runs, or answers
// it at once. mu is held.
func (p *peer) startKeyed(c *Call, key string) {
	if c.streams() {
		p.refuse(c, Errorf(Invalid, "a call with a key gets one answer, so it cannot carry a stream"))
		return
	}
	c.keyed = &keyed{key: key}
	entry, verdict, answer, leave := p.keys.Begin(p.identity, c.path, key, func(a keys.Answer) { p.inherit(c, a) })
	switch verdict {
	case keys.Run:
		c.keyed.entry = entry
		p.enter(c)
	case keys.Wait:
		c.keyed.leave = leave
	case keys.Have:
		p.repeat(c, answer)
	case keys.Ran:
		p.refuse(c, Errorf(TooLarge, "this call has run already; its answer was too large to be kept for a second time"))
	default:
		p.refuse(c, busy(time.Second, "too many keys are remembered; call without one, or later"))
	}
}

// refuse answers a booked call that does not run. mu is held.
func (p *peer) refuse(c *Call, fail *Error) {
	p.off(c)
	c.answered = true
	c.ctx.end()
	p.tell(c.id, fail)
}

// inherit answers a call with what another one with its key was answered. With
// nothing, that one never ran, and this one takes its place.
func (p *peer) inherit(c *Call, a keys.Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || c.answered {
		return
	}
	if a.Line == nil {
		p.startKeyed(c, c.keyed.key)
		return
	}
	p.repeat(c, a)
}

// repeat gives a booked call an answer that is remembered. When the queue has no
// room, it takes its turn like a call that runs, so that only so many answers
// gather. mu is held.
func (p *peer) repeat(c *Call, a keys.Answer) {
	f := answerAgain(c.id, a)
	if f.Size() > p.limit() {
		p.refuse(c, Errorf(TooLarge, "the answer has %d bytes, this client takes %d", f.Size(), p.limit()))
		return
	}
	if p.out.Append(f, false) == transport.ErrFull {
		c.keyed = &keyed{have: &a}
		p.enter(c)
		return
	}
	p.off(c)
	c.answered = true
	c.ctx.end()
}

// remember keeps the answer of a call that has run.
func (c *Call) remember(f transport.Frame) {
	if c.keyed != nil && c.keyed.entry != nil {
		c.keyed.entry.Done(answerOf(f))
	}
}

// forget gives up the key of a call that did not run.
func (c *Call) forget() {
	switch k := c.keyed; {
	case k == nil:
	case k.entry != nil:
		k.entry.Forget()
	case k.leave != nil:
		k.leave()
	}
}

// answerOf is a terminal line without its id.
func answerOf(f transport.Frame) keys.Answer {
	text := f.Payload()
	rest := text[2:]
	for len(rest) > 0 && '0' <= rest[0] && rest[0] <= '9' {
		rest = rest[1:]
	}
	kept := append(make([]byte, 0, 1+len(rest)), text[0])
	return keys.Answer{Line: append(kept, rest...), Octets: f.Octets()}
}

// answerAgain is a remembered terminal line for another id.
func answerAgain(id uint64, a keys.Answer) transport.Frame {
	b := transport.Begin(make([]byte, 0, 32+len(a.Line)))
	b = strconv.AppendUint(append(b, a.Line[0], ' '), id, 10)
	b = append(b, a.Line[1:]...)
	if a.Octets >= 0 {
		return transport.Binary(b, a.Octets)
	}
	return transport.Text(b)
}
