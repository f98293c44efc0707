package transport

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// StreamOptions of [NewStream]. The zero value of a field is its default.
type StreamOptions struct {
	Form         Form          // StreamLines, StreamEvents or StreamMessages
	WriteTimeout time.Duration // for each write of at most 64 KiB; 10 s
	CloseTimeout time.Duration // for what is queued when the writer is ended; 2 s

	// Group counts the writer's flusher goroutines; nil: nobody does.
	Group *sync.WaitGroup
}

// Stream is the response of a streaming GET: a body without end, flushed at
// each write. That the peer has gone is told by the request's context.
type Stream struct {
	w       *Writer
	rw      http.ResponseWriter
	control *http.ResponseController
	flush   []*http.ResponseController
	write   time.Duration
	close   time.Duration
	after   time.Duration // for what net/http writes behind the handler

	mu     sync.Mutex // held while deadlines are set, never across a write
	closed bool
	over   bool // the handler may have returned
	timer  *time.Timer
}

// NewStream returns the response w as a stream. Set its headers before; they
// leave with the first bytes. The server's own timeouts no longer apply. If
// middleware has hidden what a stream needs, nothing has been written and the
// error says what to change. Do not let the handler return before
// [Stream.Finish] has.
func NewStream(w http.ResponseWriter, r *http.Request, o StreamOptions) (*Stream, error) {
	flush := flushers(w)
	if len(flush) == 0 {
		inner := unwrap(w)
		return nil, fmt.Errorf("ape: %T cannot flush: %s", inner, advice(inner))
	}
	s := &Stream{
		rw:      w,
		control: http.NewResponseController(w),
		flush:   flush,
		write:   orElse(o.WriteTimeout, 10*time.Second),
		close:   orElse(o.CloseTimeout, 2*time.Second),
	}
	err := s.control.SetWriteDeadline(time.Time{})
	if err == nil {
		err = s.control.SetReadDeadline(time.Time{})
	}
	if err != nil {
		inner := unwrap(w)
		return nil, fmt.Errorf("ape: %T cannot set deadlines: %w: %s", inner, err, advice(inner))
	}
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && r.ProtoMajor == 1 {
		s.after = server.WriteTimeout
	}
	s.w = NewWriter(body{s}, o.Form, o.Group)
	return s, nil
}

// Writer returns the writer, which is ready for control lines.
func (s *Stream) Writer() *Writer { return s.w }

// Finish waits until nobody writes any more; a write under way is cut short.
// To let the last bytes leave, call [Writer.End] and wait for [Writer.Done]
// before.
func (s *Stream) Finish() { s.w.Stop() }

// body is the Sink of a Stream's Writer.
type body struct{ s *Stream }

func (k body) Write(p []byte) error {
	s := k.s
	if err := s.deadline(time.Now().Add(s.write)); err != nil {
		return err
	}
	_, err := s.rw.Write(p)
	for _, f := range s.flush {
		if err == nil {
			err = f.Flush()
		}
	}
	if err != nil {
		return err
	}
	// HTTP/2 resets a stream at its deadline even when nobody writes.
	return s.deadline(time.Time{})
}

// Close ends a write that is under way, by a deadline that has passed.
func (k body) Close() {
	s := k.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && !s.over {
		s.closed = true
		s.control.SetWriteDeadline(time.Now().Add(-time.Second))
	}
}

// seal gives the peer until CloseTimeout to take what is queued.
func (k body) seal() {
	s := k.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.timer = time.AfterFunc(s.close, func() {
			select {
			case <-s.w.Done(): // all has left
			default:
				k.Close()
			}
		})
	}
}

// stop readies the connection for net/http: what it writes behind the handler,
// and the next request, must not meet a deadline of ours.
func (k body) stop() {
	s := k.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
	if !s.closed && s.after > 0 {
		s.control.SetWriteDeadline(time.Now().Add(s.after))
	}
}

// deadline sets the time limit of a write, unless Close has been called.
func (s *Stream) deadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.over {
		return ErrLost
	}
	return s.control.SetWriteDeadline(t)
}

// flushers returns what to flush, one after the other, so that what was written
// leaves: the outermost ResponseWriter that can, and again the next one beneath
// each that cannot, since some only look directly beneath them. Empty: none can.
func flushers(w http.ResponseWriter) (all []*http.ResponseController) {
	passed := true
	for {
		can := false
		switch w.(type) {
		case http.Flusher, interface{ FlushError() error }:
			can = true
		}
		if can && passed {
			all = append(all, http.NewResponseController(w))
		}
		passed = !can
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return all
		}
		w = u.Unwrap()
	}
}
