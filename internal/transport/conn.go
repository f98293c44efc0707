package transport

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// conn is the net.Conn that coder/websocket reads from, and writes its close
// frames to. It is also the Sink of the socket's Writer. What it does in Read
// and in OnPingReceived runs under coder's read lock, so only Close may be
// called there, never coder's CloseNow, which waits for that lock.
type conn struct {
	net.Conn
	s     *Socket
	early []byte // read by net/http, not yet by us
	err   error  // why reading ended; belongs to the reader
	turn  bool   // a message has been handled since the last Read; likewise
	full  bool   // the last Read had as much as was asked for; likewise

	written time.Time // when the write deadline was set; belongs to Writer.lock
	once    sync.Once
	closed  chan struct{}
}

// Read is called when the small reader that coder/websocket got is empty: the
// last moment to send what was held back.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		c.s.heardNow()
		return n, nil
	}
	c.s.beforeRead()
	if c.turn && !c.full {
		// What the last message has caused runs before the system is asked for
		// more, which under load has come by then: without this every message
		// costs a read in vain, and the goroutine's way to the poller and back.
		runtime.Gosched()
	}
	n, err := c.Conn.Read(p)
	c.turn, c.full = false, n == len(p)
	if n > 0 {
		c.s.heardNow()
	}
	if err == io.EOF {
		// Coder hands out messages that io.EOF cuts short as whole ones.
		err = ErrLost
	}
	if err != nil {
		c.err = err
	}
	return n, err
}

// Write is called by coder/websocket, once for each of its control frames,
// which are close frames only. Nothing follows one, whoever wrote it.
func (c *conn) Write(p []byte) (int, error) {
	w := c.s.w
	if !w.acquire() {
		return len(p), nil // ended already: coder cannot know of our close frame
	}
	defer func() { <-w.lock }()
	w.mu.Lock()
	ended := w.ended || w.finished
	if !w.sealed {
		sink{c}.seal()
	}
	w.sealed = true
	w.mu.Unlock()
	if ended {
		return len(p), nil
	}
	err := c.send(p)
	w.fail(err)
	return len(p), err
}

// Close takes no lock, so that it ends a write that is under way.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		close(c.closed)
		err = c.Conn.Close()
	})
	return err
}

// isClosed reports whether Close was called here, and not by the peer.
func (c *conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// send writes p with a deadline of its own. Setting one costs more than asking
// for the time, so it is renewed when an eighth of it has passed.
func (c *conn) send(p []byte) error {
	limit := c.s.writeTimeout
	if now := time.Now(); now.Sub(c.written) > limit/8 {
		c.written = now
		c.Conn.SetWriteDeadline(now.Add(limit))
	}
	_, err := c.Conn.Write(p)
	return err
}

// sink is the Sink of a Socket's Writer.
type sink struct{ c *conn }

func (k sink) Write(p []byte) error { return k.c.send(p) }
func (k sink) Close()               { k.c.Close() }

// seal gives the peer until CloseTimeout to answer the close frame.
func (k sink) seal() { k.c.SetReadDeadline(time.Now().Add(k.c.s.closeTimeout)) }
func (k sink) stop() {}

// hijacker is the ResponseWriter that coder's Accept gets. Its Hijack returns
// small buffers and our conn, so that net/http's larger ones are freed.
type hijacker struct {
	http.ResponseWriter
	outer http.Hijacker
	s     *Socket
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if h.outer == nil {
		return nil, nil, http.ErrNotSupported
	}
	nc, rw, err := h.outer.Hijack()
	if err != nil {
		return nil, nil, err
	}
	c := &h.s.conn
	c.Conn = nc
	// Accept resets the reader it gets, which must hold nothing therefore:
	// what net/http has read already comes from our Read.
	if b, _ := rw.Reader.Peek(rw.Reader.Buffered()); len(b) > 0 {
		c.early = bytes.Clone(b)
	}
	// 256 bytes hold a whole control frame, so that one frame is one Write.
	return c, bufio.NewReadWriter(bufio.NewReaderSize(c, 1024), bufio.NewWriterSize(c, 256)), nil
}
