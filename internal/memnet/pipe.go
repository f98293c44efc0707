package memnet

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// bufferSize is how many bytes a direction of a connection holds.
const bufferSize = 64 << 10

// ErrReset is what the other end of [Conn.Reset] reads and writes into. It
// wraps syscall.ECONNRESET, as the error of a real connection does.
var ErrReset error = &net.OpError{Op: "read", Net: "memnet", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

// Conn is one end of a connection in memory. It is a net.Conn with the half
// close of a TCP connection.
type Conn struct {
	in, out       *half
	local, remote net.Addr
}

// Pipe returns the two ends of a connection, each of whose directions holds
// size bytes; 0 means 64 KiB.
func Pipe(size int) (*Conn, *Conn) {
	if size <= 0 {
		size = bufferSize
	}
	a, b := newHalf(size), newHalf(size)
	a.peer, b.peer = b, a
	a.cut = new(atomic.Bool)
	b.cut = a.cut
	client, server := addr("memnet:client"), addr("memnet:server")
	return &Conn{in: a, out: b, local: client, remote: server}, &Conn{in: b, out: a, local: server, remote: client}
}

// Read reads what has arrived, or waits. It returns io.EOF behind the last
// byte of an end that has closed, and os.ErrDeadlineExceeded at the deadline.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write writes p, and waits for a reader whenever the buffer is full.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close closes both directions. The other end still reads what was written,
// then io.EOF; what it writes fails.
func (c *Conn) Close() error {
	c.out.hangUp(io.EOF)
	c.in.shut()
	return nil
}

// CloseWrite ends the direction to the other end, as a FIN does.
func (c *Conn) CloseWrite() error {
	c.out.hangUp(io.EOF)
	return nil
}

// Reset breaks the connection: bytes under way are lost, and both ends fail.
func (c *Conn) Reset() {
	c.in.reset()
	c.out.reset()
}

// Stall makes writes wait as if the buffer were full, until Resume.
func (c *Conn) Stall() { c.out.stall(true) }

// Resume ends Stall.
func (c *Conn) Resume() { c.out.stall(false) }

// SetAddrs sets what LocalAddr and RemoteAddr return. Call it before the
// connection is used.
func (c *Conn) SetAddrs(local, remote net.Addr) { c.local, c.remote = local, remote }

// LocalAddr returns a name, or what SetAddrs was given.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns a name, or what SetAddrs was given.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines; the zero time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.readBy.set(c.in, t)
	c.out.writeBy.set(c.out, t)
	return nil
}

// SetReadDeadline applies to a Read that waits, too.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.readBy.set(c.in, t)
	return nil
}

// SetWriteDeadline applies to a Write that waits, too.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.writeBy.set(c.out, t)
	return nil
}

// addr is a net.Addr of the network memnet.
type addr string

func (addr) Network() string  { return "memnet" }
func (a addr) String() string { return string(a) }
