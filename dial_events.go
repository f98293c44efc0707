package ape

import (
	"bytes"
	"context"
	"iter"
	"slices"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// events are the server's events on their way to the funcs that hear them, which
// one goroutine calls, in order. The Conn's mu guards them.
type events struct {
	heard   map[string][]*listener
	queue   []event
	bytes   int
	busy    bool
	dropped int64
}

type listener struct{ hear func(item) error }

type event struct {
	name string
	item
}

func (e *events) init() { e.heard = map[string][]*listener{} }

func (e *events) end() { e.heard, e.queue, e.bytes = map[string][]*listener{}, nil, 0 }

// On calls f for every event of a name that the server sends, and for messages of
// a channel of that name which the server has made this client a subscriber of
// while no Subscribe hears it. All events are heard in order, one at a time, on
// one goroutine, so f may call Invoke but should not take long: above
// DialOptions.MaxQueue bytes the oldest events that wait are dropped, and counted
// by Conn.Dropped. A value that does not fit T is logged. off ends it.
func On[T any](c *Conn, event string, f func(T)) (off func()) {
	event = trimSlash(event)
	l := &listener{hear: func(it item) error {
		v, err := decodeItem[T](c, it)
		if err == nil {
			f(v)
		}
		return err
	}}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events.heard[event] = append(c.events.heard[event], l)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		rest := slices.DeleteFunc(slices.Clone(c.events.heard[event]), func(other *listener) bool { return other == l })
		if len(rest) == 0 {
			delete(c.events.heard, event)
		} else {
			c.events.heard[event] = rest
		}
	}
}

// Dropped counts the events that were dropped because the funcs given to On were
// too slow.
func (c *Conn) Dropped() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events.dropped
}

// hear queues an event, if somebody wants it. mu is held.
func (c *Conn) hear(name string, e *line.Envelope) {
	q := &c.events
	if len(q.heard[name]) == 0 {
		return
	}
	q.queue = append(q.queue, event{name, keepItem(e)})
	q.bytes += len(e.Payload) + len(name) + slotBytes
	for q.bytes > c.own.opt.MaxQueue && len(q.queue) > 1 {
		q.pop()
		q.dropped++
	}
	if !q.busy {
		q.busy = c.own.spawn(c.hearAll)
	}
}

// keepItem copies what a line carries.
func keepItem(e *line.Envelope) item {
	it := item{octets: e.Octets}
	if e.Payload != nil {
		it.payload = append([]byte{}, e.Payload...)
	}
	return it
}

// decodeItem decodes an item that others get as well.
func decodeItem[T any](c *Conn, it item) (v T, err error) {
	payload := it.payload
	if it.octets {
		payload = bytes.Clone(payload)
	}
	err = decodePayload(&c.own.codec, payload, it.octets, &v)
	return v, err
}

// slotBytes is what an item costs beside its bytes.
const slotBytes = 64

func (q *events) pop() event {
	first := q.queue[0]
	q.queue[0] = event{}
	q.queue = q.queue[1:]
	q.bytes -= len(first.payload) + len(first.name) + slotBytes
	return first
}

// hearAll calls listeners until nothing is left.
func (c *Conn) hearAll() {
	for {
		c.mu.Lock()
		if len(c.events.queue) == 0 {
			c.events.queue, c.events.busy = nil, false
			c.mu.Unlock()
			return
		}
		next := c.events.pop()
		all := c.events.heard[next.name]
		c.mu.Unlock()
		for _, l := range all {
			c.own.guard("an event", func() {
				if err := l.hear(next.item); err != nil {
					c.own.opt.Logger.Warn("ape: an event does not fit its listener", "event", next.name, "err", err)
				}
			})
		}
	}
}

// SubscribeOption changes how Subscribe hears a channel.
type SubscribeOption func(*reader)

// Buffer is how many messages may wait for the loop: 64 without it.
func Buffer(n int) SubscribeOption { return func(r *reader) { r.most = max(1, n) } }

// DropNewest keeps what waits and drops what comes while the buffer is full.
// Without it the oldest message makes room.
func DropNewest() SubscribeOption { return func(r *reader) { r.newest = true } }

// OnDrop is called, on the loop's goroutine before it goes on, with the number of
// messages that were dropped since it was called last.
func OnDrop(f func(n int)) SubscribeOption { return func(r *reader) { r.onDrop = f } }

// subscription is one channel that this client has subscribed to, for however
// many loops. The Conn's mu guards it.
type subscription struct {
	channel string
	readers []*reader
	last    *item // newest message
	ask     *ask  // its s line
	live    bool  // that was answered: what comes now is meant
}

// reader is a loop over a channel.
type reader struct {
	most   int
	newest bool
	onDrop func(int)

	waiting []item
	dropped int
	over    bool
	fail    error
	more    chan struct{}
}

// Subscribe is the stream of a channel's messages: its last value, if there is
// one, then all that come. The client is subscribed while at least one loop is
// under way, through resumes, and anew behind a gap (see StateChange.Gap).
//
// A loop that is slower than the channel misses messages, by default the oldest
// that wait (Buffer, DropNewest, OnDrop). An error is the last thing it yields:
// the *Error of a refusal, such as denied, or of a subscription that the server
// has ended, ErrGone at the Conn's end, ctx's error, or invalid for a message that
// does not fit T.
func Subscribe[T any](ctx context.Context, c *Conn, channel string, opts ...SubscribeOption) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		channel := trimSlash(channel)
		if err := checkName(channel); err != nil {
			yield(none, err)
			return
		}
		r := &reader{most: 64, more: make(chan struct{}, 1)}
		for _, opt := range opts {
			opt(r)
		}
		if err := c.join(channel, r); err != nil {
			yield(none, err)
			return
		}
		defer c.part(channel, r)
		for {
			it, dropped, err := c.nextMessage(ctx, r)
			if dropped > 0 && r.onDrop != nil {
				r.onDrop(dropped)
			}
			var v T
			if err == nil {
				v, err = decodeItem[T](c, it)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// join adds a loop to a channel.
func (c *Conn) join(channel string, r *reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return ErrGone
	}
	s := c.subs[channel]
	if s == nil {
		if kept, _ := c.out.Bytes(); kept > c.own.opt.MaxQueue {
			return c.overflow()
		}
		s = &subscription{channel: channel}
		c.subs[channel] = s
		c.request(s)
	} else if s.last != nil {
		r.add(*s.last)
	}
	s.readers = append(s.readers, r)
	return nil
}

// part takes a loop away.
func (c *Conn) part(channel string, r *reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subs[channel]
	if s == nil {
		return
	}
	s.readers = slices.DeleteFunc(s.readers, func(other *reader) bool { return other == r })
	if len(s.readers) > 0 || c.ended {
		return
	}
	delete(c.subs, channel)
	if a := s.ask; !a.over && c.out.Withdraw(a.frame) {
		c.settle(a, nil) // the server never heard of it
		return
	}
	c.leaving[channel]++
	c.command(channel, false, func(error) {
		if c.leaving[channel]--; c.leaving[channel] == 0 {
			delete(c.leaving, channel)
		}
	})
}

// request subscribes. mu is held.
func (c *Conn) request(s *subscription) {
	s.live = false
	s.ask = c.command(s.channel, true, func(fail error) {
		switch {
		case c.subs[s.channel] != s, fail == errRenewed:
		case fail == nil:
			s.live = true
		default:
			delete(c.subs, s.channel)
			s.end(fail)
		}
	})
}

// renew subscribes again in a new session. mu is held.
func (c *Conn) renew() {
	for _, s := range c.subs {
		c.request(s)
	}
}

// overflow is the error of what would wait for the server above the limit.
func (c *Conn) overflow() *Error {
	return Errorf(Overflow, "%d bytes wait for the server, which is the limit (DialOptions.MaxQueue)", c.own.opt.MaxQueue)
}

// command sends s or u; then is called with the outcome, under mu, which is held.
func (c *Conn) command(channel string, subscribe bool, then func(error)) *ask {
	c.asks.last += 2
	a := &ask{id: c.asks.last, path: channel, done: make(chan struct{}), then: then}
	a.ctx, a.cancel = c.ctx, func() {}
	var b []byte
	if subscribe {
		b = line.AppendParam(line.AppendSubscribe(transport.Begin(nil), a.id, channel), "l", "")
	} else {
		b = line.AppendUnsubscribe(transport.Begin(nil), a.id, channel)
	}
	a.frame = transport.Text(line.AppendNone(b))
	if c.asks.open == nil {
		c.asks.open = map[uint64]*ask{}
	}
	c.asks.open[a.id] = a
	c.insist(a.frame)
	return a
}

// deliver hands out a channel's message. mu is held.
func (c *Conn) deliver(channel string, e *line.Envelope) {
	s := c.subs[channel]
	if s == nil {
		if c.leaving[channel] == 0 {
			c.hear(channel, e)
		}
		return
	}
	if !s.live {
		return // of the subscription before this one
	}
	it := keepItem(e)
	s.last = &it
	for _, r := range s.readers {
		r.add(it)
	}
}

// end ends all loops.
func (s *subscription) end(fail error) {
	for _, r := range s.readers {
		r.over, r.fail = true, fail
		signal(r.more)
	}
}

// add queues a message, and drops one when there is no room.
func (r *reader) add(it item) {
	if len(r.waiting) >= r.most {
		r.dropped++
		if r.newest {
			return
		}
		r.waiting = r.waiting[1:]
	}
	r.waiting = append(r.waiting, it)
	signal(r.more)
}

// nextMessage waits for one.
func (c *Conn) nextMessage(ctx context.Context, r *reader) (it item, dropped int, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return item{}, 0, err
		}
		c.mu.Lock()
		if len(r.waiting) > 0 {
			it, r.waiting = r.waiting[0], r.waiting[1:]
			dropped, r.dropped = r.dropped, 0
			c.mu.Unlock()
			return it, dropped, nil
		}
		over, fail := r.over, r.fail
		c.mu.Unlock()
		if over {
			return item{}, 0, fail
		}
		select {
		case <-r.more:
		case <-ctx.Done():
			return item{}, 0, ctx.Err()
		}
	}
}
