package memnet

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Listener is a net.Listener whose connections come from Dial.
type Listener struct {
	conns chan *Conn
	once  sync.Once
	done  chan struct{}
	wrap  func(*Conn) net.Conn
	size  int
}

// Listen returns a listener.
func Listen() *Listener {
	return &Listener{conns: make(chan *Conn), done: make(chan struct{})}
}

// Buffer sets how many bytes a direction of later connections holds, instead
// of 64 KiB. Call it before the listener is used.
func (l *Listener) Buffer(size int) { l.size = size }

// Wrap has f wrap the server's end of later connections, to make it faulty or
// to watch it. Call it before the listener is used.
func (l *Listener) Wrap(f func(*Conn) net.Conn) { l.wrap = f }

// Accept waits for a connection. It returns net.ErrClosed after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		if l.wrap != nil {
			return l.wrap(c), nil
		}
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial. Connections go on. Closing twice is fine.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr returns a name.
func (l *Listener) Addr() net.Addr { return addr("memnet:server") }

// Dial returns the client's end of a connection as soon as Accept has taken the
// other one. It returns net.ErrClosed when the listener is closed, and
// ctx.Err() when ctx ends before.
func (l *Listener) Dial(ctx context.Context) (*Conn, error) {
	near, far := Pipe(l.size)
	if err := l.Hand(ctx, far); err != nil {
		return nil, err
	}
	return near, nil
}

// Hand gives c to Accept, and is Dial for a connection that exists. It returns
// the same errors.
func (l *Listener) Hand(ctx context.Context, c *Conn) error {
	select {
	case l.conns <- c:
		return nil
	case <-l.done:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// HTTPClient returns a client whose requests go to the listener, whatever host
// they name. In a bubble, call its CloseIdleConnections before the bubble ends.
func (l *Listener) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := l.Dial(ctx)
			if err != nil {
				return nil, err // not a nil *Conn in a net.Conn
			}
			return c, nil
		},
	}}
}
