package memnet

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// half is one direction of a connection.
type half struct {
	size int
	peer *half        // the other direction
	cut  *atomic.Bool // of both: nothing is taken any more, what was arrives

	mu       sync.Mutex // never held while waiting
	buf      []byte
	way      way           // how bytes travel
	stalled  bool          // as if there were no room
	changed  chan struct{} // closed at the next change; nil while nobody waits
	readErr  error         // what a reader gets when buf is empty,
	endAt    time.Time     // from then on; zero: at once
	writeErr error         // what a writer gets
	closed   error         // what a reader gets although there are bytes
	goneAt   time.Time     // when a writer learns of closed
	readBy   deadline
	writeBy  deadline
}

func newHalf(size int) *half { return &half{size: size} }

func (h *half) read(p []byte) (int, error) {
	for {
		h.mu.Lock()
		switch {
		case h.closed != nil:
			defer h.mu.Unlock()
			return 0, h.closed
		case h.readBy.past():
			defer h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			defer h.mu.Unlock()
			return 0, nil
		case h.arrived() > 0:
			defer h.mu.Unlock()
			n := copy(p, h.buf[:h.arrived()])
			if h.buf = h.buf[n:]; len(h.buf) == 0 {
				h.buf = nil
			}
			h.notify()
			return n, nil
		case len(h.buf) == 0 && h.readErr != nil && !time.Now().Before(h.endAt):
			defer h.mu.Unlock()
			return 0, h.readErr
		case len(h.buf) == 0 && h.readErr == nil && h.cut.Load():
			defer h.mu.Unlock()
			return 0, ErrReset
		}
		h.wait(h.next())
	}
}

func (h *half) write(p []byte) (n int, err error) {
	for {
		h.mu.Lock()
		switch room := h.size - len(h.buf) - h.way.lost; {
		case h.writeErr != nil:
			defer h.mu.Unlock()
			return n, h.writeErr
		case h.cut.Load():
			defer h.mu.Unlock()
			return n, ErrReset
		case h.closed != nil && !h.way.dropped:
			defer h.mu.Unlock()
			if time.Now().Before(h.goneAt) {
				return n + len(p), nil // nobody has told the writer yet
			}
			return n, ErrReset
		case h.writeBy.past():
			defer h.mu.Unlock()
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			h.mu.Unlock()
			return n, nil
		case room > 0 && !h.stalled:
			m, cut := h.send(p[:min(room, len(p))])
			n, p = n+m, p[m:]
			h.notify()
			h.mu.Unlock()
			if cut {
				h.peer.mu.Lock()
				h.peer.notify()
				h.peer.mu.Unlock()
			}
			if len(p) == 0 {
				return n, nil
			}
			continue
		}
		h.wait(time.Time{})
	}
}

// wait unlocks mu and waits for a change, at most until a time that is not zero.
func (h *half) wait(until time.Time) {
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	changed := h.changed
	h.mu.Unlock()
	if until.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// notify wakes everybody who waits; mu is held.
func (h *half) notify() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

func (h *half) stall(stalled bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stalled = stalled
	h.notify()
}

// shut is the end of the direction at its reader's side, who gets nothing more.
func (h *half) shut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed == nil {
		h.closed, h.goneAt = net.ErrClosed, time.Now().Add(h.way.delay)
	}
	h.empty()
	h.readBy.stop()
	h.notify()
}

// hangUp is the end of the direction at its writer's side: err is what the
// reader gets behind the last byte.
func (h *half) hangUp(readErr error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readErr == nil && !h.way.dropped && !h.cut.Load() {
		h.readErr, h.endAt = readErr, h.arrival(0)
	}
	h.writeErr = net.ErrClosed
	h.writeBy.stop()
	h.notify()
}

// reset loses what is under way.
func (h *half) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.empty()
	h.readErr, h.endAt = ErrReset, time.Time{}
	if h.writeErr == nil {
		h.writeErr = ErrReset
	}
	h.notify()
}

// open tells whether the reader's side has not closed and was not cut off.
func (h *half) open() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed == nil && h.readErr != ErrReset && !h.cut.Load()
}

// deadline is guarded by the mutex of its half.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) past() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// set changes the deadline and wakes those who wait, now and when it passes.
func (d *deadline) set(h *half, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.stop()
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.notify()
		})
	}
	h.notify()
}
