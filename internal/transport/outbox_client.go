package transport

// What a dialling end needs of its outbox: it has calls to lose, knows which of
// them cannot have run, and has no second end that renders what it drops.

// nothing fills the place of a frame that was withdrawn: numbers must not move.
// It cancels a call that nobody has, which ape.1 ignores.
var nothing = Text(append(Begin(nil), "x 0\n"...))

// NewStrictOutbox returns an empty outbox that keeps every frame until it is
// acknowledged, and never drops one for another: frames that are written and
// those that wait to be together count towards limit. So above limit bytes
// Append returns [ErrFull] until [Outbox.Ack], or the seen of the next
// [Outbox.Attach], has made room; AppendWait waits for it. Without any frame it
// takes one of any size. Its bytes are counted in budget, which may be nil.
func NewStrictOutbox(limit int, budget *Budget) *Outbox {
	o := NewOutbox(limit, true, budget)
	o.strict = true
	return o
}

// Insist is Append without alone, for small lines that the protocol itself
// needs, such as the end of a call: it is never full, and stands before what
// waits in AppendWait. How many there can be is the caller's matter. After
// [Outbox.End] it does nothing.
func (o *Outbox) Insist(f Frame) {
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return
	}
	o.push(f)
	w := o.writer
	o.mu.Unlock()
	if w != nil {
		w.wake(false)
	}
}

// Withdraw takes f back, if no writer has taken it yet, and reports whether it
// did: then the peer never sees it. The line "x 0", which says nothing in
// ape.1, goes out in its place, so that all numbers stay. If f still waits in
// AppendWait, that returns [ErrWithdrawn].
//
// f is recognised by where its bytes are, and must have been appended only
// once. It is looked for among all frames that wait, which takes a step for
// each.
func (o *Outbox) Withdraw(f Frame) bool {
	o.mu.Lock()
	for i, turn := range o.waiting {
		if same(turn.frame, f) {
			turn.done <- ErrWithdrawn
			o.leave(i)
			return true
		}
	}
	for n := max(o.written+1, o.first); n <= o.total(); n++ {
		place := o.frames.at(int(n - o.first))
		if !same(*place, f) {
			continue
		}
		won := nothing.Size() - f.Size()
		*place = nothing
		o.kept += won
		o.fresh += won
		o.budget.add(won)
		o.settle()
		return true
	}
	o.mu.Unlock()
	return false
}

// Replace puts f in the place of the frame with the number n, if that is held
// still: what was written and did not get through is not written again. It does
// not wake the writer.
func (o *Outbox) Replace(n uint64, f Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n < o.first || n > o.total() {
		return
	}
	place := o.frames.at(int(n - o.first))
	won := f.Size() - place.Size()
	*place = f
	o.kept += won
	if n > o.written {
		o.fresh += won
	}
	o.budget.add(won)
}

// Unsent returns the frames that no writer has ever taken, in order, those that
// wait in AppendWait last, and none that was withdrawn. When a session is
// refused they are what can be sent again in the next one without running
// anything twice. Call it before [Outbox.End].
func (o *Outbox) Unsent() (frames []Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := max(o.written+1, o.first); n <= o.total(); n++ {
		if f := o.frames.at(int(n - o.first)); !same(*f, nothing) {
			frames = append(frames, *f)
		}
	}
	for _, turn := range o.waiting {
		frames = append(frames, turn.frame)
	}
	return frames
}

// AckTaken is Ack for the peer's word that came over the attached connection, up
// to the last frame that its writer has taken. The peer may have got more, by
// requests of an older connection that were late. But it numbers what comes over
// this one by counting, so no frame may be left out of it.
func (o *Outbox) AckTaken(n uint64) bool {
	o.mu.Lock()
	if n > o.written {
		o.mu.Unlock()
		return false
	}
	o.forget(min(n, o.next-1))
	o.settle()
	return true
}

// Acked returns the number of the last frame that the peer is known to have, by
// [Outbox.Ack] or by the seen of [Outbox.Attach]; 0 if there is none.
func (o *Outbox) Acked() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked
}

// same reports whether two frames are one.
func same(a, b Frame) bool {
	return len(a.data) > 0 && len(b.data) > 0 && &a.data[0] == &b.data[0]
}
