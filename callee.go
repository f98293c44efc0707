package ape

import (
	"time"

	"github.com/goape/ape/internal/line"
)

// longest is the longest deadline that means one.
const longest = 365 * 24 * time.Hour

// takeCall begins a call of the other end. mu is held.
func (p *peer) takeCall(e *line.Envelope) {
	if !p.opens(e) {
		return
	}
	c := &Call{peer: p, id: e.ID, octets: e.Octets}
	timeout, err := p.params(c, e)
	if err != nil {
		p.tell(e.ID, err)
		return
	}
	c.keep(e.Payload)
	if fail := p.book(c, e.Name, timeout); fail != nil {
		p.tell(e.ID, fail)
		return
	}
	if key, has := e.Param("k"); has && p.keys != nil {
		p.startKeyed(c, key)
		return
	}
	p.enter(c)
}

// params reads the params that a call has.
func (p *peer) params(c *Call, e *line.Envelope) (timeout time.Duration, fail *Error) {
	if len(e.Params) == 0 {
		return 0, nil
	}
	ms, has, err := e.ParamNumber("t")
	if err != nil {
		return 0, Errorf(Malformed, "t is not a number of milliseconds")
	}
	if has {
		timeout = time.Duration(max(1, min(ms, uint64(longest/time.Millisecond)))) * time.Millisecond
	}
	credit, has, err := e.ParamNumber("g")
	if err != nil {
		return 0, Errorf(Malformed, "g is not a number of items")
	}
	if has {
		c.out = &outflow{credit: credit}
	}
	if _, has := e.Param("i"); has {
		c.in = &inflow{window: p.engine.opt.StreamWindow}
	}
	return timeout, nil
}

// takeUpdate carries out what the caller says of a call under way. mu is held.
func (p *peer) takeUpdate(c *Call, e *line.Envelope) {
	switch e.Op {
	case line.Cancel:
		if c.began {
			c.ctx.end()
		} else {
			p.takeBack(c, Errorf(Cancelled, "the call was cancelled"))
		}
	case line.Credit:
		if c.out != nil {
			c.out.add(e.Count)
		}
	case line.Item:
		if fail := p.arrived(c.in, e, &p.calls.bytes); fail != nil {
			p.cutShort(c, fail)
		}
	case line.End:
		if c.in != nil {
			c.in.finish()
		}
	}
}

// cutShort answers a call before its controller does, whose answer is dropped
// then. mu is held.
func (p *peer) cutShort(c *Call, fail *Error) {
	if !c.began {
		p.takeBack(c, fail)
		return
	}
	c.answered, c.short = true, fail
	delete(p.calls.open, c.id)
	if c.in != nil {
		c.in.shut = true
	}
	if fail.Code != Deadline { // its context ends by itself then, with the error that tells it
		c.ctx.end()
	}
	p.tell(c.id, fail)
}

// watch sees to it that c is answered when its time is up, whatever its
// controller does. One timer serves all calls of a session: most have the same
// timeout, so that it is set once in a while and not for each. mu is held.
func (p *peer) watch(c *Call) {
	k := &p.calls
	if !k.rings.IsZero() && !c.ctx.deadline.Before(k.rings) {
		return
	}
	k.rings = c.ctx.deadline
	wait := time.Until(k.rings)
	if k.alarm == nil {
		k.alarm = time.AfterFunc(wait, p.ring)
	} else {
		k.alarm.Reset(wait)
	}
}

// ring answers the calls whose time is up, and sets the alarm for the next.
func (p *peer) ring() {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &p.calls
	k.rings = time.Time{}
	if p.ended {
		return
	}
	now := time.Now()
	var next *Call
	for _, c := range k.open {
		switch at := c.ctx.deadline; {
		case at.IsZero(), c.answered:
		case !at.After(now):
			p.cutShort(c, Errorf(Deadline, "the call's time was up"))
		case next == nil || at.Before(next.ctx.deadline):
			next = c
		}
	}
	if next != nil {
		p.watch(next)
	}
}
