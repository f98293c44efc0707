package keys

import "time"

// Entry is a key that runs. The first call of Done or Forget counts, further
// ones do nothing.
type Entry struct {
	table *Table
	name  name

	// guarded by table.mu
	state  state
	size   int // bytes that it counts for
	answer Answer
	end    time.Duration // when it may be forgotten, behind table.epoch
	first  *waiter       // in order of arrival
	last   *waiter

	// Places in the queues of what has run. An owner's is left in its order
	// only, so it needs no way back.
	older, newer *Entry
	next         *Entry // of the same owner
}

type state uint8

const (
	running  state = iota
	answered       // the answer is kept
	ran            // it is not
	gone           // nobody finds the entry any more
)

// waiter is one who wants the answer.
type waiter struct {
	later      func(Answer)
	prev, next *waiter
	told       bool // or left
}

// Done remembers the answer for [Options.Window] and gives it to all that
// wait, in order of arrival, before it returns.
func (e *Entry) Done(a Answer) {
	if a.Line == nil {
		a.Line = []byte{} // which is not "there is none"
	}
	tell(e.finish(a, true), a)
}

// Forget says that the call never ran: the key is free again. All that wait
// are told so, in order of arrival, by an Answer without Line.
func (e *Entry) Forget() { tell(e.finish(Answer{}, false), Answer{}) }

// finish ends the run and returns the first of those to be told.
func (e *Entry) finish(a Answer, remember bool) *waiter {
	t := e.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.state != running {
		return nil
	}
	first := e.first
	for w := first; w != nil; w = w.next {
		w.told = true
	}
	e.first, e.last = nil, nil
	if !remember || t.closed {
		e.state = gone
		t.remove(e)
		return first
	}
	t.keep(e, a)
	return first
}

func tell(w *waiter, a Answer) {
	for ; w != nil; w = w.next {
		w.later(a)
	}
}

// wait adds one who waits; table.mu is held.
func (e *Entry) wait(later func(Answer)) (leave func() bool) {
	w := &waiter{later: later, prev: e.last}
	if e.last == nil {
		e.first = w
	} else {
		e.last.next = w
	}
	e.last = w
	return func() bool { return e.leave(w) }
}

// leave takes w out of those who wait, unless it is told already.
func (e *Entry) leave(w *waiter) bool {
	e.table.mu.Lock()
	defer e.table.mu.Unlock()
	if w.told {
		return false
	}
	w.told = true
	if w.prev == nil {
		e.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		e.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	return true
}

// over reports whether e, which may be nil, may be forgotten.
func (e *Entry) over(now time.Duration) bool { return e != nil && e.end <= now }
