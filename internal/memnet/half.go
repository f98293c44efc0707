package memnet

import (
	"net"
	"os"
	"sync"
	"time"
)

// half is one direction of a connection.
type half struct {
	size int

	mu       sync.Mutex // never held while waiting
	buf      []byte
	stalled  bool          // as if there were no room
	changed  chan struct{} // closed at the next change; nil while nobody waits
	readErr  error         // what a reader gets when buf is empty
	writeErr error         // what a writer gets
	closed   error         // what a reader gets although there are bytes
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
		case len(h.buf) > 0:
			defer h.mu.Unlock()
			n := copy(p, h.buf)
			if h.buf = h.buf[n:]; len(h.buf) == 0 {
				h.buf = nil
			}
			h.notify()
			return n, nil
		case h.readErr != nil:
			defer h.mu.Unlock()
			return 0, h.readErr
		}
		h.wait()
	}
}

func (h *half) write(p []byte) (n int, err error) {
	for {
		h.mu.Lock()
		switch room := h.size - len(h.buf); {
		case h.writeErr != nil:
			defer h.mu.Unlock()
			return n, h.writeErr
		case h.writeBy.past():
			defer h.mu.Unlock()
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			h.mu.Unlock()
			return n, nil
		case room > 0 && !h.stalled:
			m := min(room, len(p))
			h.buf = append(h.buf, p[:m]...)
			n, p = n+m, p[m:]
			h.notify()
			h.mu.Unlock()
			continue
		}
		h.wait()
	}
}

// wait unlocks mu and waits for a change.
func (h *half) wait() {
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	changed := h.changed
	h.mu.Unlock()
	<-changed
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
	h.closed, h.buf = net.ErrClosed, nil
	h.readBy.stop()
	if h.writeErr == nil {
		h.writeErr = ErrReset
	}
	h.notify()
}

// hangUp is the end of the direction at its writer's side: err is what the
// reader gets behind the last byte.
func (h *half) hangUp(readErr error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readErr == nil {
		h.readErr = readErr
	}
	h.writeErr = net.ErrClosed
	h.writeBy.stop()
	h.notify()
}

// reset loses what is under way.
func (h *half) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf = nil
	h.readErr = ErrReset
	if h.writeErr == nil {
		h.writeErr = ErrReset
	}
	h.notify()
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
