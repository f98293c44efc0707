package transport

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// batch is what leaves in one write: a frame as it is, or joined bytes.
type batch struct {
	lone    Frame
	buf     []byte  // storage from buffers
	pooled  *[]byte // where buf goes back to
	counted bool    // there are numbered frames
	last    bool    // nothing follows
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// open readies buf.
func (b *batch) open() {
	if b.pooled == nil {
		b.pooled = buffers.Get().(*[]byte)
		b.buf = (*b.pooled)[:0]
	}
}

// free gives the storage back, unless a large frame has grown it.
func (b *batch) free() {
	if b.pooled == nil {
		return
	}
	if cap(b.buf) <= 2*maxWrite {
		*b.pooled = b.buf
	}
	buffers.Put(b.pooled)
	*b = batch{}
}

// bytes returns what is to be written. A frame that a form changes is changed
// here, outside of all mutexes.
func (b *batch) bytes(form Form) []byte {
	if b.lone.data == nil {
		return b.buf
	}
	if whole := form.whole(b.lone); whole != nil {
		return whole
	}
	b.open()
	b.buf = form.append(b.buf, b.lone)
	return b.buf
}

// start sees to it that somebody drains, if there is reason to. It is called
// with mu held and unlocks it.
func (w *Writer) start(alone bool) {
	if !w.due || w.held || w.flushing || w.ended || w.finished || w.stopped {
		w.mu.Unlock()
		return
	}
	w.flushing = true
	if !alone && w.group != nil {
		w.group.Add(1)
	}
	w.mu.Unlock()
	if alone {
		w.drain()
		return
	}
	go w.flusher()
}

// flush is the body of a flusher goroutine.
func (w *Writer) flush() {
	if w.group != nil {
		defer w.group.Done()
	}
	runtime.Gosched() // what is ready to run may add its answer
	w.drain()
}

// drain writes until nothing is left, and ends the connection if that fails or
// the last bytes have gone.
func (w *Writer) drain() {
	if !w.acquire() {
		w.rest()
		return
	}
	last, err := w.writeAll()
	switch {
	case err != nil:
		w.sink.Close()
		w.fail(err)
	case last:
		w.finish()
	default:
		return // writeAll rests as soon as it finds nothing
	}
	w.rest()
}

// rest tells that nobody drains.
func (w *Writer) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restLocked()
}

func (w *Writer) restLocked() {
	w.flushing = false
	if w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
}

// acquire waits for the write lock. It reports false when the connection is
// gone.
func (w *Writer) acquire() bool {
	select {
	case w.lock <- struct{}{}:
		return true
	default: // a select of two cases costs several times as much
	}
	select {
	case <-w.done:
		return false
	case w.lock <- struct{}{}:
		return true
	}
}

// writeAll writes batches until there is none, under the write lock, which it
// gives back.
func (w *Writer) writeAll() (last bool, err error) {
	var b batch
	defer func() {
		b.free()
		w.land()
		<-w.lock
	}()
	for {
		if !w.collect(&b) {
			return false, nil
		}
		if err := w.write(b.bytes(w.form)); err != nil {
			return false, err
		}
		if b.last {
			return true, nil
		}
		b.free()
		b = batch{}
		w.land()
	}
}

// write hands p to the sink in slices, so that a slow peer which still reads is
// not taken for a dead one: the sink limits the time of each. A sink is, or
// calls, somebody else's code, so its panic counts as a failure: net/http
// recovers none on this goroutine.
func (w *Writer) write(p []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("transport: panic while writing: %v", p)
		}
	}()
	for inside := false; len(p) > 0; {
		n := w.form.cut(p, inside)
		if err := w.sink.Write(p[:n]); err != nil {
			return err
		}
		inside = p[n-1] != '\n'
		p = p[n:]
	}
	return nil
}

// land ends the counting of bytes under way.
func (w *Writer) land() {
	if w.flight > 0 {
		w.out.budget.add(-w.flight)
		w.flight = 0
	}
}

// collect takes what the next write holds. It reports false when there is
// nothing; nobody drains then.
func (w *Writer) collect(b *batch) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended && !w.finished && !w.stopped {
		w.fill(b)
	}
	if len(b.buf) == 0 && b.lone.data == nil && !b.last {
		w.due = false
		w.restLocked()
		return false
	}
	w.wrote = time.Now()
	return true
}

// fill puts pongs first, then control lines and the acknowledgement, then
// frames, and behind the last of them what ends the connection.
func (w *Writer) fill(b *batch) {
	o, due := w.out, 0
	if o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		due = o.due(w)
	}
	if w.ping || len(w.pong) > 0 {
		b.open()
		if w.ping {
			b.buf = appendHeader(b.buf, opPing, 0)
		}
		b.buf = append(b.buf, w.pong...)
		w.ping, w.pong = false, nil
	}
	if w.tell {
		w.control = append(w.control, "a "...)
		w.control = strconv.AppendUint(w.control, w.ack, 10)
		w.control = append(w.control, '\n')
		w.tell = false
	}
	left := due
	if w.form == SocketLines {
		left = w.fillLines(b, due)
	} else {
		left = w.fillFrames(b, due)
	}
	b.counted = left < due
	if o != nil {
		w.flight = o.flight(b)
		if o.writer == w {
			o.letIn() // the loop that called writes them
		}
	}
	if len(w.trail) > 0 && left == 0 && b.lone.data == nil {
		b.open()
		if w.form == SocketLines {
			b.buf = appendFrame(b.buf, opText, w.trail)
		} else {
			b.buf = append(b.buf, w.trail...)
		}
		w.trail = nil
	}
	switch {
	case w.poll && b.counted:
		w.sealed, w.ended, b.last = true, true, true
	case w.sealed && left == 0 && b.lone.data == nil:
		if len(w.closing) > 0 {
			b.open()
			b.buf = append(b.buf, w.closing...)
		}
		w.ended, b.last = true, true
	}
}

// fillFrames takes frames that stand for themselves. It returns how many of
// those due are left.
func (w *Writer) fillFrames(b *batch, due int) (left int) {
	if len(w.control) > 0 {
		b.open()
		b.buf = append(b.buf, w.control...)
		w.control = nil
	}
	for ; due > 0; due-- {
		f := w.out.peek(0)
		if !b.add(w.form, *f, due == 1) {
			break
		}
		w.out.took()
		if b.lone.data != nil {
			return due - 1
		}
	}
	return due
}

// fillLines takes frames of which lines are joined into messages. The control
// lines begin the first one.
func (w *Writer) fillLines(b *batch, due int) (left int) {
	lead := w.control
	w.control = nil
	for due > 0 || len(lead) > 0 {
		n, size := w.run(due, maxJoin-len(lead))
		if len(lead) == 0 && n < 2 {
			if !b.add(w.form, *w.out.peek(0), due == 1) {
				break
			}
			w.out.took()
			if due--; b.lone.data != nil {
				break
			}
			continue
		}
		size += len(lead)
		if len(lead) == 0 && len(b.buf)+maxHeader+size > maxWrite {
			break
		}
		b.open()
		b.buf = appendHeader(b.buf, opText, size)
		b.buf = append(b.buf, lead...)
		lead = nil
		for range n {
			b.buf = append(b.buf, w.out.peek(0).Payload()...)
			w.out.took()
		}
		due -= n
	}
	return due
}

// run counts how many of the frames due are lines that fit into room bytes of
// one message, and the bytes of their payloads.
func (w *Writer) run(due, room int) (n, size int) {
	for ; n < due; n++ {
		f := w.out.peek(n)
		line := len(f.data) - int(f.head)
		if f.binary || size+line > room {
			break
		}
		size += line
	}
	return n, size
}

// add takes a frame into the batch, if there is room. A frame goes alone, as
// it is, when it is longer than a join or nothing else is due.
func (b *batch) add(form Form, f Frame, only bool) bool {
	size, room := form.size(f), form.join()
	if len(b.buf) == 0 && (only || size > room) {
		b.lone = f
		return true
	}
	if len(b.buf)+size > room {
		return false
	}
	b.open()
	b.buf = form.append(b.buf, f)
	return true
}

// flight counts the bytes of a batch that the outbox's own count leaves out:
// copies, and frames that have left it.
func (o *Outbox) flight(b *batch) int {
	n := len(b.buf)
	if !o.keep {
		n += len(b.lone.data)
	}
	o.budget.add(n)
	return n
}
