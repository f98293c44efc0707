package transport

import (
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// Sink is what bytes leave by. Write is called by one goroutine at a time, with
// at most 64 KiB that it must not keep; the time that it takes is for the Sink
// to limit. Close ends a Write that is under way without waiting for it, and
// may be called twice and at any time. The Writer calls it when a Write fails
// and to abort, never behind a good end.
type Sink interface {
	Write(p []byte) error
	Close()
}

// guard is what a Sink of this package also learns of its Writer.
type guard interface {
	seal() // the last bytes are queued; Writer.mu is held
	stop() // nothing is written any more
}

// Writer drains an [Outbox] into one connection. Besides the outbox's numbered
// frames it takes control lines, which nobody counts and no resume repeats. It
// works before an outbox is attached. All methods may be called concurrently.
type Writer struct {
	sink  Sink
	guard guard // nil for a Sink from elsewhere
	form  Form
	group *sync.WaitGroup // of flusher goroutines, or nil

	flusher func() // the method flush: a value that is made once costs no allocation at each go

	lock chan struct{} // held across writes to sink: one slot, see doc.go
	done chan struct{}

	flight int // bytes under way that the budget counts; belongs to lock

	mu       sync.Mutex // never held while bytes are written
	out      *Outbox
	control  []byte // control lines, for SocketLines without frame header
	trail    []byte // lines behind the frames
	pong     []byte // frame of the last unanswered ping
	ping     bool
	ack      uint64 // to be told
	tell     bool   // it is
	poll     bool   // end behind the first counted frame
	held     bool   // the reader has more: nothing is flushed
	due      bool   // there may be something to write
	flushing bool   // somebody drains
	sealed   bool   // nothing may be queued any more
	ended    bool   // the last bytes are on the way or written
	finished bool   // done is closed
	stopped  bool   // no goroutine starts any more
	dropped  bool   // ended with drop: frames stay in the outbox
	last     uint64
	closing  []byte        // the last line and the close frame
	idle     chan struct{} // closed when whoever drains has stopped, for Stop
	wrote    time.Time
	err      error
}

// NewWriter returns a writer to s. Its flusher goroutines are counted in
// group, which may be nil.
func NewWriter(s Sink, form Form, group *sync.WaitGroup) *Writer {
	w := &Writer{sink: s, form: form, group: group, lock: make(chan struct{}, 1), done: make(chan struct{})}
	w.guard, _ = s.(guard)
	w.flusher = w.flush
	return w
}

// Control queues bytes that are not counted, to be written before all frames
// that have not been taken yet. They are one or more whole lines; with
// [SocketMessages] one message; on a stream they go out as they are.
func (w *Writer) Control(line []byte) {
	w.mu.Lock()
	w.queue(line)
	w.start(false)
}

// Trail queues lines that are not counted behind all frames, as soon as there
// are none before them. It is for the forms of ape.1.
func (w *Writer) Trail(line []byte) {
	w.mu.Lock()
	if w.sealed || w.finished {
		w.mu.Unlock()
		return
	}
	w.trail = append(w.trail, line...)
	w.due = true
	w.start(false)
}

// Acknowledge queues the line "a n", in front of everything else that is
// queued. Of several that wait to be written only the newest is. The forms of
// the classic dialect write none.
func (w *Writer) Acknowledge(n uint64) {
	w.mu.Lock()
	if w.sealed || w.finished || w.form == SocketMessages || w.form > StreamLines {
		w.mu.Unlock()
		return
	}
	w.ack, w.tell, w.due = n, true, true
	w.start(false)
}

// Ping queues a WebSocket ping. On a stream it does nothing.
func (w *Writer) Ping() {
	if w.form > SocketMessages {
		return
	}
	w.mu.Lock()
	if w.sealed || w.finished {
		w.mu.Unlock()
		return
	}
	w.ping, w.due = true, true
	w.start(false)
}

// Pong queues the answer to a WebSocket ping, before all data. Of pings that
// came while none could be answered only the last one is.
func (w *Writer) Pong(payload []byte) {
	if w.form > SocketMessages {
		return
	}
	w.mu.Lock()
	if w.sealed || w.finished {
		w.mu.Unlock()
		return
	}
	w.pong = appendFrame(w.pong[:0], opPong, payload)
	w.due = true
	w.start(false)
}

// Poll makes the writer end by itself, without a last line, behind the first
// write that holds a numbered frame. Call it before the outbox is attached.
func (w *Writer) Poll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.poll = true
}

// Hold delays writes: who reads has more at hand that may cause answers. A
// [Socket] does it by itself.
func (w *Writer) Hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = true
}

// Release ends what Hold began and wakes a flusher.
func (w *Writer) Release() {
	w.mu.Lock()
	w.held = false
	w.start(false)
}

// End seals the writer: what is queued is written, or with drop left in the
// outbox, then the line last, which may be nil, then on a WebSocket a close
// frame with code and reason. Nothing can be queued afterwards. The first call
// wins. From then on the peer has the connection's CloseTimeout to take what is
// written, where the Sink is one of this package's. Code 0 is a close frame
// without a code.
func (w *Writer) End(code int, reason string, last []byte, drop bool) {
	w.mu.Lock()
	if w.sealed || w.finished {
		w.mu.Unlock()
		return
	}
	w.sealed, w.dropped = true, drop
	if drop {
		w.control, w.trail, w.pong, w.ping = nil, nil, nil, false
	} else if w.out != nil {
		w.out.mu.Lock()
		w.last = w.out.total()
		w.out.mu.Unlock()
	}
	w.closing = w.form.closing(code, reason, last)
	if w.guard != nil {
		w.guard.seal()
	}
	w.held, w.due = false, true
	w.start(false)
}

// Sealed reports whether nothing can be queued any more: by End, by a close
// frame of the peer's, or because the connection is gone. What a session
// receives from then on it must not count.
func (w *Writer) Sealed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sealed || w.finished
}

// Done is closed when the last bytes have been written, and when there is
// nobody to write to any more. The writer has left its outbox then.
func (w *Writer) Done() <-chan struct{} { return w.done }

// Err returns why writing failed, once Done is closed; nil if it did not.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Abort closes the connection at once.
func (w *Writer) Abort() {
	w.sink.Close()
	w.fail(ErrLost)
}

// Stop ends the writer and waits for whoever writes, whose write is cut short.
// When it returns the connection is not touched any more. Stopping twice is
// fine.
func (w *Writer) Stop() {
	w.mu.Lock()
	w.stopped = true
	var idle chan struct{}
	if w.flushing {
		if w.idle == nil {
			w.idle = make(chan struct{})
		}
		idle = w.idle
	}
	cut := w.flushing && !w.finished
	w.mu.Unlock()
	if cut {
		w.Abort()
	}
	if idle != nil {
		<-idle
	}
	w.finish()
	if w.guard != nil {
		w.guard.stop()
	}
}

// LastWrite returns when bytes last began to leave, or the zero time.
func (w *Writer) LastWrite() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrote
}

// queue adds a control line; mu is held.
func (w *Writer) queue(line []byte) {
	if w.sealed || w.finished {
		return
	}
	if w.form == SocketMessages {
		w.control = appendFrame(w.control, opText, line)
	} else {
		w.control = append(w.control, line...)
	}
	w.due = true
}

// wake is called behind a change of the outbox.
func (w *Writer) wake(alone bool) {
	w.mu.Lock()
	w.due = true
	w.start(alone)
}

// finish closes done and leaves the outbox.
func (w *Writer) finish() { w.fail(nil) }

func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished {
		return
	}
	w.finished, w.err = true, err
	w.control, w.trail, w.pong, w.ping, w.closing = nil, nil, nil, false, nil
	close(w.done)
	if w.out != nil {
		w.out.Detach(w)
	}
}

// release lets go of an ended outbox's frames, unless they are still to be
// written.
func (w *Writer) release(o *Outbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sealed && !w.dropped && !w.ended && !w.finished {
		return
	}
	o.Detach(w)
}

// closing is what ends a connection of this form.
func (form Form) closing(code int, reason string, last []byte) []byte {
	var b []byte
	if form > SocketMessages {
		return append(b, last...)
	}
	if len(last) > 0 {
		b = appendFrame(b, opText, last)
	}
	if code == 0 {
		return appendHeader(b, opClose, 0)
	}
	const longest = 123 // a control frame holds 125 bytes
	if len(reason) > longest {
		reason = strings.ToValidUTF8(reason[:longest], "")
	}
	b = appendHeader(b, opClose, 2+len(reason))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, reason...)
}
