package mesh

import (
	"context"
	"time"
)

// memoryInbox is guarded by its store's lock.
type memoryInbox struct {
	of   *memoryMesh
	id   string
	note chan struct{} // wakes the reader

	ready       [][]byte
	late        lateFrames
	size        int // bytes in both
	interrupted bool
	err         error // the Inbox is dead
}

func (b *memoryInbox) Receive(ctx context.Context) ([]byte, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		body, due, resumed, err := b.next()
		if body != nil || err != nil {
			return body, err
		}
		var timer *time.Timer
		var ripe <-chan time.Time
		if due > 0 {
			timer = time.NewTimer(due)
			ripe = timer.C
		}
		select {
		case <-b.note:
		case <-resumed:
		case <-ripe:
		case <-ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

func (b *memoryInbox) Close() error {
	s := b.of.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.space(b.of.namespace).drop(func(other *memoryInbox) bool { return other == b })
	b.fail(ErrClosed)
	return nil
}

// next returns a body, or an error, or what to wait for: the time until a late
// frame comes, the end of a pause.
func (b *memoryInbox) next() (body []byte, due time.Duration, resumed <-chan struct{}, err error) {
	s := b.of.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.err != nil {
		return nil, 0, nil, b.err
	}
	if resumed = s.paused[b.id]; resumed != nil {
		return nil, 0, resumed, nil
	}
	if b.interrupted {
		b.interrupted = false
		return nil, 0, nil, ErrInterrupted
	}
	now := time.Now()
	for len(b.late) > 0 && !now.Before(b.late[0].due) {
		b.ready = append(b.ready, b.late.pop().body)
	}
	if len(b.ready) > 0 {
		body = b.ready[0]
		b.ready[0] = nil
		b.ready = b.ready[1:]
		b.size -= len(body) + frameCost
		return body, 0, nil, nil
	}
	if len(b.late) > 0 {
		due = b.late[0].due.Sub(now)
	}
	return nil, due, nil, nil
}

// interrupt loses what is under way. The caller holds the store's lock, as in
// all that follows.
func (b *memoryInbox) interrupt() {
	if b.err != nil {
		return
	}
	b.of.store.stats.Interrupted++
	b.empty()
	b.interrupted = true
	b.wake()
}

// fail ends the Inbox. The first reason stays, but for ErrClosed.
func (b *memoryInbox) fail(err error) {
	if b.err != nil && err != ErrClosed {
		return
	}
	if b.err == nil && err != ErrClosed {
		b.of.store.stats.Interrupted++
	}
	b.err = err
	b.empty()
	b.wake()
}

func (b *memoryInbox) empty() {
	b.ready, b.late, b.size = nil, nil, 0
}

func (b *memoryInbox) wake() {
	select {
	case b.note <- struct{}{}:
	default:
	}
}

// lateFrames is a heap: the first is due next.
type lateFrames []lateFrame

type lateFrame struct {
	due    time.Time
	serial uint64 // decides between frames that are due at once
	body   []byte
}

func (a lateFrame) before(b lateFrame) bool {
	if a.due.Equal(b.due) {
		return a.serial < b.serial
	}
	return a.due.Before(b.due)
}

func (h *lateFrames) push(f lateFrame) {
	*h = append(*h, f)
	l := *h
	for i := len(l) - 1; i > 0; {
		up := (i - 1) / 2
		if !l[i].before(l[up]) {
			return
		}
		l[i], l[up] = l[up], l[i]
		i = up
	}
}

func (h *lateFrames) pop() lateFrame {
	l := *h
	top, last := l[0], len(l)-1
	l[0], l[last] = l[last], lateFrame{}
	l = l[:last]
	*h = l
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(l); child++ {
			if l[child].before(l[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		l[i], l[least] = l[least], l[i]
		i = least
	}
}
