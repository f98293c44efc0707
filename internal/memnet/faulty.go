package memnet

import (
	"net"
	"sync"
)

// Faults says how a connection fails. The zero value is one that does not.
type Faults struct {
	CutAfter  int64 // bytes that may be written; then it is cut, in the midst of a Write; 0: never
	CutReads  int64 // bytes that may be read; then it is cut; 0: never
	WithReset bool  // cuts are resets, which lose what is under way; else a FIN
	Piece     int   // a Write is handed on in pieces of so many bytes; 0: whole
}

// Faulty is one end of a connection that fails on purpose.
type Faulty struct {
	*Conn
	faults Faults

	mu       sync.Mutex // never held while waiting
	written  int64
	read     int64
	vanished bool
}

// NewFaulty makes c fail as f says.
func NewFaulty(c *Conn, f Faults) *Faulty { return &Faulty{Conn: c, faults: f} }

// HalfOpen makes later writes succeed and vanish, as into a cable that was
// pulled.
func (f *Faulty) HalfOpen() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.vanished = true
}

// Written returns how many bytes were handed on.
func (f *Faulty) Written() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written
}

// Cut ends the connection now.
func (f *Faulty) Cut() {
	if f.faults.WithReset {
		f.Reset()
	}
	f.Close()
}

// Write writes p, as far as the faults let it. A cut returns net.ErrClosed.
func (f *Faulty) Write(p []byte) (n int, err error) {
	for {
		piece, cut, vanished := f.allow(p[n:])
		if vanished {
			return len(p), nil
		}
		m, err := f.Conn.Write(piece)
		n += m
		f.mu.Lock()
		f.written += int64(m)
		f.mu.Unlock()
		switch {
		case err != nil:
			return n, err
		case cut:
			f.Cut()
			return n, net.ErrClosed
		case n == len(p):
			return n, nil
		}
	}
}

// Read reads, until the connection is to be cut.
func (f *Faulty) Read(p []byte) (int, error) {
	if f.faults.CutReads > 0 {
		f.mu.Lock()
		left := f.faults.CutReads - f.read
		f.mu.Unlock()
		if left <= 0 {
			f.Cut()
			return 0, net.ErrClosed
		}
		p = p[:min(int64(len(p)), left)]
	}
	n, err := f.Conn.Read(p)
	f.mu.Lock()
	f.read += int64(n)
	f.mu.Unlock()
	return n, err
}

// allow returns what of p is to be written next, and whether the connection is
// cut behind it.
func (f *Faulty) allow(p []byte) (piece []byte, cut, vanished bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.vanished {
		return nil, false, true
	}
	if f.faults.Piece > 0 {
		p = p[:min(len(p), f.faults.Piece)]
	}
	if limit := f.faults.CutAfter; limit > 0 && f.written+int64(len(p)) >= limit {
		return p[:max(0, limit-f.written)], true, false
	}
	return p, false, false
}
