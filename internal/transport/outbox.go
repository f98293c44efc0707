package transport

import (
	"context"
	"slices"
	"sync"
)

// Outbox is the queue of one session's outgoing frames. They are numbered 1,
// 2, 3 … in the order in which they are appended. A Writer that is attached
// takes them in that order; what it has taken counts as written, whether or
// not it arrives. All methods may be called concurrently.
type Outbox struct {
	limit  int
	keep   bool
	strict bool // what is kept stays until it is acknowledged
	budget *Budget

	mu      sync.Mutex
	frames  ring
	first   uint64 // number of the oldest frame held; total+1 if none is
	next    uint64 // number that the writer takes next
	written uint64 // highest number that any writer has taken
	acked   uint64 // highest number that the peer is known to have
	kept    int    // bytes held
	fresh   int    // of these, bytes of frames above written
	writer  *Writer
	waiting []*waiter // in order of arrival
	ended   bool
}

// waiter is a frame whose appender waits for room.
type waiter struct {
	frame Frame
	limit int        // of what may be held once it is appended
	done  chan error // one slot
}

// NewOutbox returns an empty outbox that lets frames of together limit bytes
// wait to be written. While a resumed peer is sent again what it lacks, an
// outbox holds at most twice as much.
// With keep, written frames stay until they are acknowledged or pushed out by
// newer ones, so that the session can resume; without, a frame leaves when it
// is written. Its bytes are counted in budget, which may be nil.
func NewOutbox(limit int, keep bool, budget *Budget) *Outbox {
	return &Outbox{limit: limit, keep: keep, budget: budget, first: 1, next: 1}
}

// Append appends f and sees to it that the attached writer, if any, writes it.
// It never waits for room: it returns [ErrFull] when the bytes that wait to be
// written would exceed the limit, but takes any frame when none waits. Written
// frames that are kept for a resume are dropped for it, oldest first; where
// they may not be, see [NewStrictOutbox], they count like those that wait.
// After [Outbox.End] it returns [ErrEnded].
//
// With alone, Append may write to the connection itself, and so last as long
// as that does; without, it never does. See the package's documentation.
func (o *Outbox) Append(f Frame, alone bool) error {
	o.mu.Lock()
	if err := o.admit(f, o.limit); err != nil {
		o.mu.Unlock()
		return err
	}
	w := o.writer
	o.mu.Unlock()
	if w != nil {
		w.wake(alone)
	}
	return nil
}

// AppendWait is Append, but waits for room, behind those who wait already. It
// returns ctx.Err() if ctx ends before there is any, and [ErrEnded] when the
// outbox ends.
func (o *Outbox) AppendWait(ctx context.Context, f Frame, alone bool) error {
	return o.await(ctx, f, o.limit, alone, nil)
}

// AppendItem is AppendWait for a frame that is one of many, such as an item of a
// stream: it leaves half of the limit to what cannot wait. When ctx has ended, it
// appends nothing: what belongs to a session that was lost cannot get behind a
// [Outbox.Restart] that came after the end of ctx. ctx.Err is called under the
// outbox's lock.
func (o *Outbox) AppendItem(ctx context.Context, f Frame) error {
	return o.await(ctx, f, o.limit/2, false, ctx.Err)
}

// await appends f as soon as no more than limit is held with it, unless over
// says that it must not.
func (o *Outbox) await(ctx context.Context, f Frame, limit int, alone bool, over func() error) error {
	o.mu.Lock()
	if over != nil {
		if err := over(); err != nil {
			o.mu.Unlock()
			return err
		}
	}
	err := ErrFull
	if len(o.waiting) == 0 || o.ended {
		err = o.admit(f, limit)
	}
	if err != ErrFull {
		w := o.writer
		o.mu.Unlock()
		if err == nil && w != nil {
			w.wake(alone)
		}
		return err
	}
	turn := &waiter{frame: f, limit: limit, done: make(chan error, 1)}
	o.waiting = append(o.waiting, turn)
	o.budget.add(f.Size())
	o.mu.Unlock()
	select {
	case err := <-turn.done:
		return err
	case <-ctx.Done():
	}
	o.mu.Lock()
	if i := slices.Index(o.waiting, turn); i >= 0 {
		o.leave(i)
		return ctx.Err()
	}
	o.mu.Unlock()
	return <-turn.done // it had its turn at the same moment
}

// Ack takes the peer's word that it has all frames up to n, which are let go
// of. It reports false if n was never written: such a peer talks of another
// session. A number below earlier ones is ignored.
func (o *Outbox) Ack(n uint64) bool {
	o.mu.Lock()
	if n > o.written {
		o.mu.Unlock()
		return false
	}
	o.forget(n)
	o.settle()
	return true
}

// Attach makes w the writer: it takes seen as acknowledged, and w writes the
// frames behind it, then what is appended. An earlier writer takes nothing
// more. Without keep, seen does not matter: w goes on with the oldest frame
// that no writer has taken.
//
// The result is "" or why nothing was attached: "mismatch" when seen was never
// written, "overflow" when a frame behind it is no longer kept, "unknown" after
// End. A writer attaches once.
func (o *Outbox) Attach(w *Writer, seen uint64) (gap string) {
	return o.AttachWith(w, seen, nil)
}

// AttachWith is [Outbox.Attach] with a control line that is written before all
// frames, a welcome: first gets the number of frames that follow, as it is at
// the very moment of attaching, and returns the line. It is called under the
// lock of w, and not when there is a gap.
func (o *Outbox) AttachWith(w *Writer, seen uint64, first func(recovered uint64) []byte) (gap string) {
	w.mu.Lock()
	o.mu.Lock()
	if gap = o.gap(seen); gap != "" {
		o.mu.Unlock()
		w.mu.Unlock()
		return gap
	}
	if o.keep {
		o.next = seen + 1
		o.forget(seen)
		o.letIn()
	}
	o.writer, w.out = w, o
	left := o.total() + 1 - o.next
	o.mu.Unlock()
	if left > 0 {
		w.due = true
	}
	if first != nil {
		w.queue(first(left))
	}
	w.start(false)
	return ""
}

// Detach takes the outbox away from w, if w is its writer still. Frames that
// are appended wait for the next one.
func (o *Outbox) Detach(w *Writer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.detach(w)
}

// End lets go of all frames and ends the waits of AppendWait. Frames that a
// writer which was ended without drop still has to write are written first.
func (o *Outbox) End() {
	o.mu.Lock()
	o.ended = true
	for _, turn := range o.waiting {
		o.budget.add(-turn.frame.Size())
		turn.done <- ErrEnded
	}
	o.waiting = nil
	w := o.writer
	if w == nil {
		o.free()
	}
	o.mu.Unlock()
	if w != nil {
		w.release(o)
	}
}

// Bytes returns how many bytes are kept, and how many of these no writer has
// taken yet. Frames count with their [Frame.Size], and those that wait in
// AppendWait as kept.
func (o *Outbox) Bytes() (kept, unwritten int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept = o.kept
	for _, turn := range o.waiting {
		kept += turn.frame.Size()
	}
	return kept, o.fresh
}

// The methods below are called with mu held.

func (o *Outbox) total() uint64 { return o.first + uint64(o.frames.n) - 1 }

func (o *Outbox) gap(seen uint64) string {
	switch {
	case o.ended:
		return "unknown"
	case !o.keep:
		return ""
	case seen > o.written:
		return "mismatch"
	case seen+1 < o.first:
		return "overflow"
	}
	return ""
}

// admit appends f, if limit bytes leave room for it.
func (o *Outbox) admit(f Frame, limit int) error {
	held := o.fresh
	if o.strict {
		held = o.kept
	}
	switch {
	case o.ended:
		return ErrEnded
	case held > 0 && held+f.Size() > limit:
		return ErrFull
	}
	o.push(f)
	return nil
}

// push appends f, and drops written frames for it where that is allowed.
func (o *Outbox) push(f Frame) {
	size, before := f.Size(), o.kept
	// Frames that the writer is about to repeat are not dropped under its
	// hands: that is when up to twice the limit is held.
	for !o.strict && o.kept+size > o.limit && o.frames.n > 0 && o.first <= o.written && (o.writer == nil || o.first < o.next) {
		o.pop()
	}
	o.frames.push(f)
	o.kept += size
	o.fresh += size
	o.budget.add(o.kept - before)
}

// due counts the frames that w may take.
func (o *Outbox) due(w *Writer) int {
	if o.writer != w {
		return 0
	}
	top := o.total()
	if w.sealed {
		top = min(top, w.last)
	}
	if top < o.next {
		return 0
	}
	return int(top - o.next + 1)
}

// peek returns the i-th frame from next on.
func (o *Outbox) peek(i int) *Frame { return o.frames.at(int(o.next-o.first) + i) }

// took moves next behind one frame.
func (o *Outbox) took() {
	if o.next > o.written {
		o.written = o.next
		o.fresh -= o.peek(0).Size()
	}
	o.next++
	if !o.keep {
		o.budget.add(-o.peek(-1).Size())
		o.pop()
	}
}

// settle lets in who waits, gives mu back and wakes the writer for what came.
// No mutex may be held but mu.
func (o *Outbox) settle() {
	var w *Writer
	if o.letIn() {
		w = o.writer
	}
	o.mu.Unlock()
	if w != nil {
		w.wake(false)
	}
}

// leave takes the i-th of those who wait out, and settles: a smaller frame may
// have stood behind it.
func (o *Outbox) leave(i int) {
	o.budget.add(-o.waiting[i].frame.Size())
	o.waiting = slices.Delete(o.waiting, i, i+1)
	o.settle()
}

// letIn appends the frames of those who wait, as far as there is room. It
// reports whether there were any; the writer must learn of them.
func (o *Outbox) letIn() bool {
	n := 0
	for ; n < len(o.waiting); n++ {
		if o.admit(o.waiting[n].frame, o.waiting[n].limit) != nil {
			break
		}
		o.budget.add(-o.waiting[n].frame.Size())
		o.waiting[n].done <- nil
	}
	if n == 0 {
		return false
	}
	clear(o.waiting[:n])
	if o.waiting = o.waiting[n:]; len(o.waiting) == 0 {
		o.waiting = nil
	}
	return true
}

// forget lets go of frames up to n, which the peer has.
func (o *Outbox) forget(n uint64) {
	before := o.kept
	o.acked = max(o.acked, n)
	for o.first <= n && o.frames.n > 0 {
		o.pop()
	}
	o.budget.add(o.kept - before)
}

// pop removes the oldest frame, which has been written.
func (o *Outbox) pop() {
	o.kept -= o.frames.pop()
	o.first++
	o.next = max(o.next, o.first)
}

func (o *Outbox) detach(w *Writer) {
	if o.writer != w {
		return
	}
	o.writer = nil
	if o.ended {
		o.free()
	}
}

// free lets go of everything.
func (o *Outbox) free() {
	o.first = o.total() + 1
	o.next = o.first
	o.frames = ring{}
	o.budget.add(-o.kept)
	o.kept, o.fresh = 0, 0
}
