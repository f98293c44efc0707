package ape

import (
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
	streams int              // those that carry items, which take no place to run; stuck ones too
	stuck   int              // have run; their answers wait for room
	open    map[uint64]*Call // ape.1, by id: not yet answered, subscriptions too
	waiting []*Call          // for a place to run, in order of arrival
	lanes   map[*serial][]*Call
	limiter *rate.Limiter

	alarm *time.Timer // rings at the earliest deadline
	rings time.Time   // when it does; zero: it is not set
}

// admit takes a call off the wire, on the reader: it waits for nothing and runs
// no user code. The refusal is to be sent by the caller. mu is held.
func (p *peer) admit(c *Call, path []byte) *Error {
	fail := p.book(c, path, 0)
	if fail == nil {
		p.enter(c)
	}
	return fail
}

// book notes a call, if the limits allow it. mu is held.
func (p *peer) book(c *Call, path []byte, timeout time.Duration) *Error {
	opt, k := &p.engine.opt, &p.calls
	if k.count >= opt.MaxCalls {
		return busy(time.Second, "%d calls are open, which is the limit; wait for answers", k.count)
	}
	if most := opt.MaxRunning * opt.MaxMessage; k.bytes > 0 && k.bytes+len(c.payload) > most {
		return busy(time.Second, "%d bytes of open calls are held, at most %d may be; wait for answers", k.bytes, most)
	}
	if c.streams() && k.streams >= opt.MaxStreams {
		return busy(time.Second, "%d streams are open, which is the limit; end some first", k.streams)
	}
	if err := k.allow(opt.Rate); err != nil {
		return err
	}
	c.route = p.engine.routes.find(path, p.dialect == classicWire)
	if c.route != nil && c.route.pattern == string(path) {
		c.path = c.route.pattern
	} else {
		c.path = string(path)
	}
	c.ctx.call, c.ctx.parent = c, p.values
	if timeout > 0 {
		c.ctx.deadline = time.Now().Add(timeout)
		p.watch(c)
	}
	k.count++
	k.bytes += len(c.payload)
	if c.id != 0 {
		if k.open == nil {
			k.open = make(map[uint64]*Call)
		}
		k.open[c.id] = c
	}
	if c.streams() {
		k.streams++
	}
	p.engine.counters.calls.Add(1)
	return nil
}

// enter puts a booked call in line. mu is held.
func (p *peer) enter(c *Call) {
	if c.route == nil || c.route.lane == nil || p.calls.enter(c) {
		p.start(c)
	}
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
func (p *peer) start(c *Call) {
	k := &p.calls
	if !c.streams() && (k.running >= p.engine.opt.MaxRunning || len(k.waiting) > 0) {
		k.waiting = append(k.waiting, c)
		return
	}
	p.begin(c)
}

// begin gives c its goroutine. mu is held.
func (p *peer) begin(c *Call) {
	if !c.streams() {
		p.calls.running++
	}
	c.began = true
	if p.engine.opt.Observer != nil {
		c.since = time.Now()
	}
	p.engine.workers.run(c)
}

// takeBack answers a call that has ended before it began. mu is held.
func (p *peer) takeBack(c *Call, fail *Error) {
	k := &p.calls
	if i := slices.Index(k.waiting, c); i >= 0 {
		k.waiting = slices.Delete(k.waiting, i, i+1)
		p.pass(c)
	} else if i := k.inLane(c); i >= 0 {
		k.lanes[c.route.lane] = slices.Delete(k.lanes[c.route.lane], i, i+1)
	}
	p.off(c)
	c.answered = true
	c.since = time.Now()
	c.ctx.end()
	p.tell(c.id, fail)
	p.engine.spawn(func() {
		c.forget()
		p.observeCall(c, fail)
	})
}

// off takes a call off the books. mu is held.
func (p *peer) off(c *Call) {
	k := &p.calls
	k.count--
	k.bytes -= len(c.payload)
	if c.in != nil {
		k.bytes -= c.in.drop()
	}
	if c.streams() {
		k.streams--
	}
	if c.id != 0 && k.open[c.id] == c {
		delete(k.open, c.id)
	}
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
func (p *peer) pass(c *Call) {
	if c.route == nil || c.route.lane == nil {
		return
	}
	k := &p.calls
	queue := k.lanes[c.route.lane]
	if len(queue) == 0 {
		delete(k.lanes, c.route.lane)
		return
	}
	k.lanes[c.route.lane] = queue[1:]
	p.start(queue[0])
}

// release takes an ended call off the books and starts what waited for it.
func (p *peer) release(c *Call) (how released) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &p.calls
	p.off(c)
	how.late, c.answered = c.answered, true
	if !c.streams() {
		k.running--
	}
	if k.stuck > 0 && !p.ended && !c.event && !how.late {
		k.stick(c)
		how.stuck = true
	}
	if p.ended {
		return how
	}
	p.pass(c)
	p.fill()
	how.alone = k.running == 0
	return how
}

// released is how a call has ended.
type released struct {
	alone bool // no other call runs
	late  bool // it was answered before, at its deadline
	// stuck: its answer will have to wait, because others do. It keeps its place
	// until unstick.
	stuck bool
}

// stick takes a place back for an answer that finds no room.
func (k *calls) stick(c *Call) {
	if c.streams() {
		k.streams++
	} else {
		k.running++
	}
	k.stuck++
}

// unstick gives the place up.
func (p *peer) unstick(c *Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.streams() {
		p.calls.streams--
	} else {
		p.calls.running--
	}
	p.calls.stuck--
	if !p.ended {
		p.fill()
	}
}

// fill starts what waits for a place to run, as far as there is one. mu is
// held.
func (p *peer) fill() {
	k := &p.calls
	for len(k.waiting) > 0 && k.running < p.engine.opt.MaxRunning {
		next := k.waiting[0]
		if k.waiting = k.waiting[1:]; len(k.waiting) == 0 {
			k.waiting = nil
		}
		p.begin(next)
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
func (p *peer) finish(c *Call, result any, err error) {
	defer c.ctx.end()
	var fail *Error
	if err != nil {
		fail = c.failure(err)
	}
	if c.event {
		p.release(c)
		p.observeCall(c, fail)
		return
	}
	if c.kept != nil && fail == nil {
		result = c.kept
	}
	var f transport.Frame
	if c.keyed != nil && c.keyed.have != nil {
		f = answerAgain(c.id, *c.keyed.have)
	} else {
		f, fail = p.dialect.answer(c, result, fail)
	}
	p.answering.Add(1)
	defer p.answering.Add(-1)
	how := p.release(c)
	if how.late && c.short != nil {
		fail = c.short
	}
	p.observeCall(c, fail)
	c.remember(f)
	switch {
	case how.late:
		p.engine.counters.late.Add(1)
		return
	case c.posted != nil:
		c.post(reply{body: f.Payload(), err: fail})
		return
	case !how.stuck:
		if p.over.Load() || p.answer(c, f, how.alone) != transport.ErrFull {
			p.owner.queued()
			return
		}
		p.mu.Lock()
		p.calls.stick(c)
		p.mu.Unlock()
		defer p.unstick(c)
	default:
		defer p.unstick(c)
	}
	// The other end does not read fast enough. An answer that waits has the place
	// of a running call, so that only so many of them can gather.
	p.owner.queued()
	if p.odd {
		p.out.AppendItem(c.ctx.parent, f)
	} else {
		p.out.AppendWait(p.ctx, f, false)
	}
}

// answer queues the answer of a call, if there is room. What a Conn has to say of
// a session that it has lost must not reach the next one, where the server's ids
// begin anew.
func (p *peer) answer(c *Call, f transport.Frame, alone bool) error {
	if !p.odd {
		return p.out.Append(f, alone)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := c.ctx.parent.Err(); err != nil {
		return err
	}
	return p.out.Append(f, false)
}

// disown lets go of all calls: their session was lost, and nobody waits for their
// answers. mu is held.
func (k *calls) disown(p *peer) {
	for _, c := range k.open {
		c.answered = true
		c.ctx.end()
		if c.in != nil {
			c.in.shut = true
		}
	}
	clear(k.open)
	for _, c := range k.abandon() {
		p.off(c)
	}
}

// post answers a classic POST; other calls ignore it.
func (c *Call) post(r reply) {
	if c.posted != nil {
		c.posted <- r
	}
}
