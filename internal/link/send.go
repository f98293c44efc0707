package link

import (
	"context"
	"time"

	"github.com/goape/ape/mesh"
)

// Send queues a message for a member in sight. It does not wait; nil means that
// the message arrives unless the member dies or a gap is told there.
func (l *Link) Send(id string, op Op, body []byte) error {
	if op < OpPublish {
		return errOp
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.find(id)
	if err != nil {
		return err
	}
	return l.sendTo(p, op, body)
}

// SendWait is Send, but waits for room until ctx ends.
func (l *Link) SendWait(ctx context.Context, id string, op Op, body []byte) error {
	if op < OpPublish {
		return errOp
	}
	return l.sendWhenRoom(ctx, func() (*peer, error) { return l.find(id) }, op, body)
}

// SendAll queues a message for all members in sight, and returns the number of
// its last part in the sequence to all.
func (l *Link) SendAll(op Op, body []byte) (number uint64, err error) {
	if op < OpPublish {
		return 0, errOp
	}
	return l.sendAll(op, body)
}

func (l *Link) sendAll(op Op, body []byte) (number uint64, err error) {
	if len(body) > l.limits.Message {
		return 0, ErrTooLarge
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refusal(); err != nil {
		return 0, err
	}
	if l.all.queueBytes >= l.limits.Queue || l.overShare(&l.all, nil, len(body)) {
		return 0, ErrBacklog
	}
	l.cut(&l.all, op, body)
	l.readyAll = true
	l.wake()
	return l.all.last + uint64(l.all.queue.len()), nil
}

// find returns a peer in sight.
func (l *Link) find(id string) (*peer, error) {
	if p := l.byID[id]; p != nil {
		return p, nil
	}
	return nil, l.noPeer()
}

func (l *Link) findLife(life uint64) (*peer, error) {
	if p := l.peers[life]; p != nil {
		return p, nil
	}
	return nil, l.noPeer()
}

func (l *Link) noPeer() error {
	switch {
	case l.superseded:
		return mesh.ErrSuperseded
	case l.closed:
		return ErrClosed
	}
	return ErrPeerGone
}

// refusal says why nothing is accepted at all.
func (l *Link) refusal() error {
	switch {
	case l.superseded:
		return mesh.ErrSuperseded
	case l.closed || l.leaving:
		return ErrClosed
	case l.detached:
		return ErrDetached
	}
	return nil
}

// sendTo queues a message for a peer, or says why not.
func (l *Link) sendTo(p *peer, op Op, body []byte) error {
	if len(body) > l.limits.Message {
		return ErrTooLarge
	}
	err := l.refusal()
	if p.state != alive && (err == nil || err == ErrDetached) {
		return ErrPeerGone
	}
	if err != nil {
		return err
	}
	if p.out.queueBytes >= l.limits.Queue || l.overShare(&p.out, p, len(body)) {
		return ErrBacklog
	}
	l.cut(&p.out, op, body)
	l.markReady(p)
	return nil
}

// sendLife queues a message of the link's own.
func (l *Link) sendLife(life uint64, op Op, body []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.findLife(life)
	if err != nil {
		return err
	}
	return l.sendTo(p, op, body)
}

// sendWhenRoom waits for room.
func (l *Link) sendWhenRoom(ctx context.Context, find func() (*peer, error), op Op, body []byte) error {
	for {
		l.mu.Lock()
		p, err := find()
		if err == nil {
			err = l.sendTo(p, op, body)
		}
		if err != ErrBacklog {
			l.mu.Unlock()
			return err
		}
		if l.room == nil {
			l.room = make(chan struct{})
		}
		room := l.room
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// freeRoom lets those who wait for room try again.
func (l *Link) freeRoom() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// cut puts a message into a queue, in several parts if it is large.
func (l *Link) cut(o *outgoing, op Op, body []byte) {
	l.counters.Sent++
	if len(body) <= l.fragment {
		o.accept(part{kind: kindMessage + byte(op), body: body})
		l.counters.Parts++
		return
	}
	p := part{kind: kindFirst, op: byte(op), total: len(body)}
	for len(body) > 0 {
		n := min(len(body), l.fragment)
		p.body, body = body[:n:n], body[n:]
		if len(body) == 0 {
			p.kind = kindLast
		}
		o.accept(p)
		l.counters.Parts++
		p = part{kind: kindMiddle}
	}
}

// pressAgain is how often one target is asked for its position for want of
// memory.
const pressAgain = 50 * time.Millisecond

// overShare says whether a target may not hold more: above the budget it may
// hold the budget divided by the targets that hold anything, so that all
// together stay below twice the budget. From half of it on, those that hold
// much are asked how far they are, for acknowledgements are lazy.
func (l *Link) overShare(o *outgoing, p *peer, size int) bool {
	size += partCost
	budget := l.limits.Budget
	if l.held+size <= budget/2 {
		return false
	}
	share := budget / l.holders(o)
	mine := o.queueBytes + o.ringBytes + size
	if now := time.Now(); mine > share/4 && now.Sub(o.pressed) > pressAgain {
		o.pressed = now
		if p != nil {
			l.ask(p)
		} else {
			l.beatNow(true)
		}
	}
	return l.held+size > budget && mine > share
}

// holders counts the targets that hold anything, and this one.
func (l *Link) holders(o *outgoing) int {
	n := 1
	if o != &l.all && l.all.queueBytes+l.all.ringBytes > 0 {
		n++
	}
	for _, p := range l.peers {
		if o != &p.out && p.out.queueBytes+p.out.ringBytes > 0 {
			n++
		}
	}
	return n
}
