package ape

import (
	"context"
	"time"

	"github.com/goape/ape/internal/transport"
	"golang.org/x/time/rate"
)

// calls are a session's calls that have come and are not yet answered. The
// session's mu guards them.
type calls struct {
	count   int              // all of them
	running int              // on a goroutine
	open    map[uint64]*Call // ape.1, by id
	waiting []*Call          // for a place to run, in order of arrival
	lanes   map[*serial][]*Call
	limiter *rate.Limiter
}

// admit takes a call off the wire, on the reader: it waits for nothing and runs
// no user code. The refusal is to be sent by the caller. mu is held.
func (s *session) admit(c *Call, timeout time.Duration) *Error {
	opt, k := &s.server.opt, &s.calls
	if k.count >= opt.MaxCalls {
		return busy(time.Second, "%d calls are open, which is the limit; wait for answers", k.count)
	}
	if err := k.allow(opt.Rate); err != nil {
		return err
	}
	c.route = s.server.routes.find([]byte(c.path), s.dialect == classicWire)
	c.ctx.call = c
	if timeout > 0 {
		c.ctx.Context, c.cancel = context.WithTimeout(s.values, timeout)
	} else {
		c.ctx.Context, c.cancel = context.WithCancel(s.values)
	}
	k.count++
	if c.id != 0 {
		if k.open == nil {
			k.open = make(map[uint64]*Call)
		}
		k.open[c.id] = c
	}
	s.server.counters.calls.Add(1)
	if c.route != nil && c.route.lane != nil && !k.enter(c) {
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

// start runs c, or lets it wait for a place. mu is held.
func (s *session) start(c *Call) {
	if s.calls.running >= s.server.opt.MaxRunning {
		s.calls.waiting = append(s.calls.waiting, c)
		return
	}
	s.calls.running++
	c.began = time.Now()
	s.server.tasks.Add(1)
	go c.run()
}

// release takes an ended call off the books and starts what waited for it. It
// reports whether no other call is on the way.
func (s *session) release(c *Call) (alone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &s.calls
	k.count--
	k.running--
	if c.id != 0 {
		delete(k.open, c.id)
	}
	if s.ended {
		return true
	}
	if c.route != nil && c.route.lane != nil {
		if queue := k.lanes[c.route.lane]; len(queue) == 0 {
			delete(k.lanes, c.route.lane)
		} else {
			k.lanes[c.route.lane] = queue[1:]
			s.start(queue[0])
		}
	}
	if len(k.waiting) > 0 && k.running < s.server.opt.MaxRunning {
		next := k.waiting[0]
		if k.waiting = k.waiting[1:]; len(k.waiting) == 0 {
			k.waiting = nil
		}
		s.start(next)
	}
	return k.running == 0
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
	defer c.cancel()
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
	alone := s.release(c)
	s.observeCall(c, fail)
	if c.posted != nil {
		return // answer has sent it
	}
	if s.over.Load() || s.out.Append(f, alone) != transport.ErrFull {
		s.server.trim()
		return
	}
	// The client does not read fast enough. Waiting answers count as open
	// calls, so that only so many of them can gather.
	s.count(1)
	s.out.AppendWait(s.ctx, f, false)
	s.count(-1)
}

// count adds to the calls that count as open.
func (s *session) count(n int) {
	s.mu.Lock()
	s.calls.count += n
	s.mu.Unlock()
}

// post answers a classic POST; other calls ignore it.
func (c *Call) post(r reply) {
	if c.posted != nil {
		c.posted <- r
	}
}
