package ape

import (
	"context"
	"slices"
	"time"

	"github.com/goape/ape/internal/transport"
	"golang.org/x/time/rate"
)

// calls are a session's calls that have come and are not yet answered. The
// session's mu guards them.
type calls struct {
	count   int              // all of them
	bytes   int              // of what came with them
	running int              // on a goroutine, those among them that are stuck too
	stuck   int              // have run; their answers wait for room
	open    map[uint64]*Call // ape.1, by id
	waiting []*Call          // for a place to run, in order of arrival
	lanes   map[*serial][]*Call
	limiter *rate.Limiter
}

// admit takes a call off the wire, on the reader: it waits for nothing and runs
// no user code. The refusal is to be sent by the caller. mu is held.
func (s *session) admit(c *Call, path []byte, timeout time.Duration) *Error {
	opt, k := &s.server.opt, &s.calls
	if k.count >= opt.MaxCalls {
		return busy(time.Second, "%d calls are open, which is the limit; wait for answers", k.count)
	}
	if most := opt.MaxRunning * opt.MaxMessage; k.bytes > 0 && k.bytes+len(c.payload) > most {
		return busy(time.Second, "%d bytes of open calls are held, at most %d may be; wait for answers", k.bytes, most)
	}
	if err := k.allow(opt.Rate); err != nil {
		return err
	}
	c.route = s.server.routes.find(path, s.dialect == classicWire)
	if c.route != nil && c.route.pattern == string(path) {
		c.path = c.route.pattern
	} else {
		c.path = string(path)
	}
	c.ctx.call, c.ctx.parent = c, s.values
	if timeout > 0 {
		c.ctx.deadline = time.Now().Add(timeout)
	}
	k.count++
	k.bytes += len(c.payload)
	if c.id != 0 {
		if k.open == nil {
			k.open = make(map[uint64]*Call)
		}
		k.open[c.id] = c
	}
	s.server.counters.calls.Add(1)
	if c.route != nil && c.route.lane != nil && !k.enter(c) {
		s.hold(c)
		return nil
	}
	s.start(c)
	return nil
}

// allow asks the rate limit.
func (k *calls) allow(r Rate) *Error {
	if r.PerSecond < 0 {
		return nil
	}
	if k.limiter == nil {
		k.limiter = rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)
	}
	return overRate(k.limiter)
}

// overRate is nil when one more call is allowed now.
func overRate(l *rate.Limiter) *Error {
	now := time.Now()
	if l.AllowN(now, 1) {
		return nil
	}
	lack := 1 - l.TokensAt(now)
	wait := time.Second
	if l.Limit() > 0 {
		wait = time.Duration(lack / float64(l.Limit()) * float64(time.Second))
	}
	return busy(wait, "too many calls; at most %g a second are allowed", float64(l.Limit()))
}

// enter reports whether c is first in its lane; else it waits there, without
// taking a place to run.
func (k *calls) enter(c *Call) bool {
	queue, taken := k.lanes[c.route.lane]
	if taken {
		k.lanes[c.route.lane] = append(queue, c)
		return false
	}
	if k.lanes == nil {
		k.lanes = make(map[*serial][]*Call)
	}
	k.lanes[c.route.lane] = nil
	return true
}

// start runs c, or lets it wait for a place behind those that wait already. mu
// is held.
func (s *session) start(c *Call) {
	k := &s.calls
	if k.running >= s.server.opt.MaxRunning || len(k.waiting) > 0 {
		k.waiting = append(k.waiting, c)
		s.hold(c)
		return
	}
	s.begin(c)
}

// begin gives c its goroutine. mu is held.
func (s *session) begin(c *Call) {
	if c.unhold != nil {
		c.unhold()
	}
	s.calls.running++
	if s.server.opt.Observer != nil {
		c.began = time.Now()
	}
	s.server.workers.run(c)
}

// hold sees to it that a call which waits is answered when it is cancelled or
// its time is up. mu is held.
func (s *session) hold(c *Call) {
	if c.id != 0 && c.unhold == nil {
		c.unhold = context.AfterFunc(&c.ctx, func() { s.withdraw(c) })
	}
}

// withdraw answers a call that has ended before it began.
func (s *session) withdraw(c *Call) {
	if fail := s.takeBack(c); fail != nil {
		s.observeCall(c, fail)
	}
}

// takeBack does it; nil when c runs or the session has ended.
func (s *session) takeBack(c *Call) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &s.calls
	if i := slices.Index(k.waiting, c); i >= 0 {
		k.waiting = slices.Delete(k.waiting, i, i+1)
		s.pass(c)
	} else if i := k.inLane(c); i >= 0 {
		k.lanes[c.route.lane] = slices.Delete(k.lanes[c.route.lane], i, i+1)
	} else {
		return nil
	}
	k.count--
	k.bytes -= len(c.payload)
	delete(k.open, c.id)
	c.began = time.Now()
	fail := c.failure(c.ctx.Err())
	c.ctx.end()
	s.tell(c.id, fail)
	return fail
}

// inLane is the place of a call that waits in its lane, -1 for one that does
// not.
func (k *calls) inLane(c *Call) int {
	if c.route == nil || c.route.lane == nil {
		return -1
	}
	return slices.Index(k.lanes[c.route.lane], c)
}

// pass gives c's lane to the next call in it. mu is held.
func (s *session) pass(c *Call) {
	if c.route == nil || c.route.lane == nil {
		return
	}
	k := &s.calls
	queue := k.lanes[c.route.lane]
	if len(queue) == 0 {
		delete(k.lanes, c.route.lane)
		return
	}
	k.lanes[c.route.lane] = queue[1:]
	s.start(queue[0])
}

// release takes an ended call off the books and starts what waited for it. It
// reports whether no other call is on the way. A call whose answer will have to
// wait, because others do, keeps its place: it is stuck until unstick.
func (s *session) release(c *Call) (alone, stuck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &s.calls
	k.count--
	k.bytes -= len(c.payload)
	if c.id != 0 {
		delete(k.open, c.id)
	}
	if stuck = k.stuck > 0 && !s.ended && !c.event; stuck {
		k.stuck++
	} else {
		k.running--
	}
	if s.ended {
		return true, false
	}
	s.pass(c)
	s.fill()
	return k.running == 0, stuck
}

// stick takes a place back for an answer that finds no room.
func (s *session) stick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.running++
	s.calls.stuck++
}

// unstick gives the place up.
func (s *session) unstick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.running--
	s.calls.stuck--
	if !s.ended {
		s.fill()
	}
}

// fill starts what waits for a place to run, as far as there is one. mu is
// held.
func (s *session) fill() {
	k := &s.calls
	for len(k.waiting) > 0 && k.running < s.server.opt.MaxRunning {
		next := k.waiting[0]
		if k.waiting = k.waiting[1:]; len(k.waiting) == 0 {
			k.waiting = nil
		}
		s.begin(next)
	}
}

// abandon forgets the calls that have not begun and returns them.
func (k *calls) abandon() []*Call {
	list := k.waiting
	for _, queue := range k.lanes {
		list = append(list, queue...)
	}
	k.waiting, k.lanes = nil, nil
	return list
}

// finish answers a call that has run.
//
// The call's context ends behind the answer, so that what a controller has
// given to context.AfterFunc comes after it.
func (s *session) finish(c *Call, result any, err error) {
	defer c.ctx.end()
	var fail *Error
	if err != nil {
		fail = c.failure(err)
	}
	if c.event {
		s.release(c)
		s.observeCall(c, fail)
		return
	}
	f, fail := s.dialect.answer(c, result, fail)
	s.answering.Add(1)
	defer s.answering.Add(-1)
	alone, stuck := s.release(c)
	s.observeCall(c, fail)
	if c.posted != nil {
		c.post(reply{body: f.Payload(), err: fail})
		return
	}
	if !stuck {
		if s.over.Load() || s.out.Append(f, alone) != transport.ErrFull {
			s.server.trim()
			return
		}
		s.stick()
	}
	// The client does not read fast enough. An answer that waits has the place of
	// a running call, so that only so many of them can gather.
	s.server.trim()
	s.out.AppendWait(s.ctx, f, false)
	s.unstick()
}

// post answers a classic POST; other calls ignore it.
func (c *Call) post(r reply) {
	if c.posted != nil {
		c.posted <- r
	}
}
