package memnet

import "time"

// way is how the bytes of one direction travel. It is guarded by the mutex of
// its half. The zero value is a way without length or limit.
type way struct {
	delay   time.Duration
	rate    int       // bytes a second; 0: no limit
	free    time.Time // when the next byte may leave, under rate
	under   []parcel  // what is on its way: the end of buf, in order
	bytes   int       // of under
	cutIn   int64     // bytes until the connection is cut; 0: it is not
	dropped bool      // what is written gets lost,
	lost    int       // so many bytes so far
}

// parcel is bytes that arrive together.
type parcel struct {
	bytes int
	at    time.Time
}

// A segment is what a limited direction carries at a time, as TCP does: a tenth
// of a second's worth, at most maxSegment.
const maxSegment = 1460

// send takes the beginning of p and returns how many bytes, and whether it has
// cut the connection behind them. There is room for all of p.
func (h *half) send(p []byte) (n int, cut bool) {
	w := &h.way
	if w.dropped {
		w.lost += len(p)
		return len(p), false
	}
	if w.rate > 0 {
		p = p[:min(len(p), max(1, w.rate/10), maxSegment)]
	}
	if w.cutIn > 0 {
		p = p[:min(int64(len(p)), w.cutIn)]
		w.cutIn -= int64(len(p))
		if cut = w.cutIn == 0; cut {
			h.cut.Store(true)
		}
	}
	at := h.arrival(len(p))
	h.buf = append(h.buf, p...)
	if !at.IsZero() {
		w.bytes += len(p)
		if last := len(w.under) - 1; last >= 0 && w.under[last].at.Equal(at) {
			w.under[last].bytes += len(p)
		} else {
			w.under = append(w.under, parcel{len(p), at})
		}
	}
	return len(p), cut
}

// arrival is when n bytes that are written now arrive, if nothing written
// earlier is later; zero means at once.
func (h *half) arrival(n int) time.Time {
	w := &h.way
	h.arrived()
	if w.delay == 0 && w.rate == 0 && w.bytes == 0 {
		return time.Time{}
	}
	at := time.Now()
	if w.rate > 0 {
		if w.free.Before(at) {
			w.free = at
		}
		w.free = w.free.Add(time.Duration(n) * time.Second / time.Duration(w.rate))
		at = w.free
	}
	return at.Add(w.delay)
}

// arrived returns how many bytes of buf can be read.
func (h *half) arrived() int {
	w := &h.way
	if w.bytes == 0 {
		return len(h.buf)
	}
	for now := time.Now(); len(w.under) > 0 && !now.Before(w.under[0].at); w.under = w.under[1:] {
		w.bytes -= w.under[0].bytes
	}
	if w.bytes == 0 {
		w.under = nil
	}
	return len(h.buf) - w.bytes
}

// next is when a reader who has nothing to read gets something without any
// further change; zero means never.
func (h *half) next() time.Time {
	switch {
	case h.way.bytes > 0:
		return h.way.under[0].at
	case h.readErr != nil:
		return h.endAt
	}
	return time.Time{}
}

// empty loses what has not been read.
func (h *half) empty() { h.buf, h.way.under, h.way.bytes = nil, nil, 0 }

// change changes the way of both directions.
func (c *Conn) change(f func(*way)) {
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		f(&h.way)
		h.notify()
		h.mu.Unlock()
	}
}

// Delay makes bytes arrive d after they were written, in both directions and in
// their order; those that are on their way arrive as they would have. Closing
// takes as long to be noticed at the other end, Reset does not.
func (c *Conn) Delay(d time.Duration) {
	c.change(func(w *way) { w.delay = max(0, d) })
}

// Limit makes each direction carry so many bytes a second; 0 is no limit.
func (c *Conn) Limit(bytesPerSecond int) {
	c.change(func(w *way) { w.rate, w.free = max(0, bytesPerSecond), time.Time{} })
}

// CutAfter cuts the connection as soon as n more bytes were written in one of
// its directions. What was written until then arrives, and behind it both ends
// fail as after Reset. 0 takes it back.
func (c *Conn) CutAfter(n int64) {
	c.change(func(w *way) { w.cutIn = max(0, n) })
}

// Drop makes the connection half-open for ever: what was written before still
// arrives, nothing else does, not even that an end has closed. As without TCP's
// acknowledgements, writes succeed until the buffer is full, and then wait.
func (c *Conn) Drop() {
	c.change(func(w *way) { w.dropped = true })
}

// Open tells whether this end has not been closed and the connection not been
// cut. What the other end did does not count.
func (c *Conn) Open() bool { return c.in.open() }
