package keys

import "time"

// lot is how many entries the timer forgets before it lets others have the
// lock.
const lot = 256

// slack is which part of the window the timer waits at least: forgetting a
// little late is allowed, and saves it from going off for each key.
const slack = 32

// keep remembers the answer of an entry that ran; mu is held.
func (t *Table) keep(e *Entry, a Answer) {
	own, now := e.name.owner, t.now()
	extra := cap(a.Line) - t.o.Reserve
	if extra > 0 {
		t.expire(own, now)
	}
	if extra <= 0 || t.room(own, extra, now) {
		e.state, e.answer = answered, a
		t.resize(e, extra)
	} else {
		e.state = ran
		t.resize(e, -t.o.Reserve)
	}
	e.end = now + t.o.Window
	if e.older = t.newest; e.older == nil {
		t.oldest = e
	} else {
		e.older.newer = e
	}
	t.newest = e
	if own.newest == nil {
		own.oldest = e
	} else {
		own.newest.next = e
	}
	own.newest = e
	t.arm(t.o.Window)
}

func (t *Table) resize(e *Entry, n int) {
	e.size += n
	t.count(e.name.owner, n)
}

// expire forgets what an identity need not be remembered of; mu is held.
func (t *Table) expire(own *owner, now time.Duration) {
	for own.oldest.over(now) {
		t.drop(own.oldest)
	}
}

// drop forgets the oldest entry of an owner; mu is held.
func (t *Table) drop(e *Entry) {
	if e.older == nil {
		t.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
	if e.newer == nil {
		t.newest = e.older
	} else {
		e.newer.older = e.older
	}
	own := e.name.owner
	if own.oldest = e.next; own.oldest == nil {
		own.newest = nil
	}
	e.state, e.answer = gone, Answer{}
	e.older, e.newer, e.next = nil, nil, nil
	t.remove(e)
}

// arm sets the timer, unless it is; mu is held.
func (t *Table) arm(d time.Duration) {
	if t.armed || t.closed {
		return
	}
	t.armed = true
	if t.timer == nil {
		t.timer = time.AfterFunc(d, t.sweep)
		return
	}
	t.timer.Reset(d)
}

// sweep forgets what nobody has asked for, when the timer goes off.
func (t *Table) sweep() {
	for t.sweepLot() {
	}
}

// sweepLot reports whether there is more to forget. If not, the timer is set
// for what is left.
func (t *Table) sweepLot() (more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for range lot {
		if !t.oldest.over(now) {
			t.armed = false
			if t.oldest != nil {
				t.arm(max(t.oldest.end-now, t.o.Window/slack))
			}
			return false
		}
		t.drop(t.oldest)
	}
	return true
}
