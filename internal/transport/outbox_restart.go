package transport

// Restart begins at number 1 again, for another session: first, then of the
// frames that no writer has taken those that keep picks, in order. The others
// are dropped; AppendWait returns [ErrWithdrawn] for them. A writer that is
// attached takes nothing more. keep is called under the outbox's lock.
func (o *Outbox) Restart(first []Frame, keep func(Frame) bool) {
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return
	}
	frames := append([]Frame(nil), first...)
	for n := max(o.written+1, o.first); n <= o.total(); n++ {
		if f := *o.frames.at(int(n - o.first)); keep(f) {
			frames = append(frames, f)
		}
	}
	waiting := o.waiting
	o.waiting = nil
	for _, turn := range waiting {
		if keep(turn.frame) {
			o.waiting = append(o.waiting, turn)
			continue
		}
		o.budget.add(-turn.frame.Size())
		turn.done <- ErrWithdrawn
	}
	o.writer = nil
	o.free()
	o.first, o.next, o.written, o.acked = 1, 1, 0, 0
	for _, f := range frames {
		o.push(f)
	}
	o.settle()
}
