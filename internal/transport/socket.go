package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// SocketOptions of [Accept]. The zero value of a field is its default.
type SocketOptions struct {
	Subprotocols []string      // those served, best first; none
	Form         Form          // SocketLines or SocketMessages
	Idle         time.Duration // without a byte from the peer, until ErrIdle; 0: no limit
	WriteTimeout time.Duration // for each write of at most 64 KiB; 10 s
	CloseTimeout time.Duration // for the peer's answer to a close frame; 2 s

	// Group counts the writer's flusher goroutines; nil: nobody does.
	Group *sync.WaitGroup
}

// Socket is a server's WebSocket. Next, the messages it returns and Finish
// belong to one goroutine; the other methods may be called concurrently.
type Socket struct {
	conn conn
	w    *Writer
	ws   *websocket.Conn
	msg  message

	idle, writeTimeout, closeTimeout time.Duration

	// guarded by w.mu
	heard   time.Time // when a byte last came
	renewed time.Time // when the read deadline was set
}

// Accept upgrades the request. It does not check the origin: do that before.
// Headers that are set on w go out with the 101, whatever w is wrapped in. On
// an error a response has been written, and the error says what to change if
// middleware has hidden the connection.
func Accept(w http.ResponseWriter, r *http.Request, o SocketOptions) (*Socket, error) {
	base := unwrap(w)
	if _, ok := base.(http.Hijacker); !ok && r.ProtoMajor == 1 {
		err := fmt.Errorf("ape: %T cannot hand over its connection: %s", base, advice(base))
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return nil, err
	}
	if h := base.Header(); len(w.Header()) > 0 {
		for k, v := range w.Header() {
			h[k] = v
		}
	}
	s := &Socket{
		idle:         o.Idle,
		writeTimeout: orElse(o.WriteTimeout, 10*time.Second),
		closeTimeout: orElse(o.CloseTimeout, 2*time.Second),
		heard:        time.Now(),
	}
	s.conn.s, s.conn.closed = s, make(chan struct{})
	s.msg = message{s: s}
	s.w = NewWriter(sink{&s.conn}, o.Form, o.Group)
	ws, err := websocket.Accept(hijacker{base, outerHijacker(w), s}, r, &websocket.AcceptOptions{
		Subprotocols:       o.Subprotocols,
		InsecureSkipVerify: true, // the origin was checked before
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived: func(_ context.Context, payload []byte) bool {
			s.w.Pong(payload)
			return false
		},
	})
	if err != nil {
		return nil, fmt.Errorf("transport: accept: %w", err)
	}
	ws.SetReadLimit(-1) // limits are the reader's matter
	s.ws = ws
	return s, nil
}

// Writer returns the writer, which is ready for control lines.
func (s *Socket) Writer() *Writer { return s.w }

// Heard returns when the last byte came.
func (s *Socket) Heard() time.Time {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.heard
}

// Next returns the next message, whose reader is good until the next call.
// What is left of the message before is dropped. Its error is ErrIdle, ErrLost,
// ErrProtocol or a *CloseError, and there is no message behind it.
//
// The message returns io.EOF at its end, ErrUTF8, ErrEnded once the writer was
// ended, or what Next would return. Behind ErrUTF8, and behind a message that
// its reader refuses, call [Writer.End] with the code that fits, then Finish.
//
// From reading a byte until it wants another one, the reader keeps the writer
// from flushing. So it must not wait for anything but the next message.
//
// When the writer was ended no message is returned any more: Next drops them
// until the peer has answered the close frame.
func (s *Socket) Next() (binary bool, message io.Reader, err error) {
	s.conn.turn = true
	for {
		if err := s.msg.skip(); err != nil {
			return false, nil, s.failed(err)
		}
		kind, r, err := s.ws.Reader(context.Background())
		if err != nil {
			return false, nil, s.failed(err)
		}
		s.msg.begin(r, kind == websocket.MessageText)
		if !s.w.Sealed() {
			return kind == websocket.MessageBinary, &s.msg, nil
		}
	}
}

// Finish ends the connection. Behind [Writer.End] it first reads, and drops
// what it reads, until the peer has answered the close frame or CloseTimeout
// has passed; a connection that is lost, or was not ended, is closed at once.
// Nothing of the socket runs when Finish returns.
func (s *Socket) Finish() {
	s.w.mu.Lock()
	sealed := s.w.sealed // and so there is a deadline
	s.w.mu.Unlock()
	if sealed {
		_, _, err := s.Next()
		if err == ErrProtocol {
			// What follows cannot be read as frames. Closing before the rest
			// is read would make the kernel reset the connection, and the
			// peer would not see the close frame.
			io.Copy(io.Discard, &s.conn)
		}
	}
	s.ws.CloseNow()
	s.w.Stop()
}

// failed turns an error of coder/websocket, or of the conn beneath, into ours.
func (s *Socket) failed(err error) error {
	if code := websocket.CloseStatus(err); code != -1 {
		return &CloseError{Code: int(code)}
	}
	switch {
	case s.conn.isClosed():
		return ErrLost
	case errors.Is(s.conn.err, os.ErrDeadlineExceeded) && !s.w.Sealed():
		s.conn.err = nil // End sets a new deadline
		return ErrIdle
	case s.conn.err != nil:
		return ErrLost
	}
	s.w.End(int(websocket.StatusProtocolError), "", nil, true) // if coder did not
	return ErrProtocol
}

// beforeRead renews the idle deadline, unless a close frame is queued, and
// wakes a flusher for what was held back.
func (s *Socket) beforeRead() {
	w := s.w
	w.mu.Lock()
	if s.idle > 0 && !w.sealed && s.heard.Sub(s.renewed) > s.idle/8 {
		s.renewed = s.heard
		s.conn.SetReadDeadline(s.heard.Add(s.idle + s.idle/8)) // so never too early
	}
	w.held = false
	w.start(false)
}

// heardNow keeps the writer from flushing: the bytes may cause more answers.
func (s *Socket) heardNow() {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	s.heard = time.Now()
	w.held = !w.sealed
}

// unwrap finds the server's own ResponseWriter beneath those of middleware,
// some of which hold back a 101.
func unwrap(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}

// outerHijacker finds the outermost ResponseWriter whose Hijack can be trusted:
// it, and all beneath it, have one, which some call without asking. Those that
// are passed by would believe that nothing was answered, and answer themselves.
func outerHijacker(w http.ResponseWriter) (outer http.Hijacker) {
	for {
		if h, ok := w.(http.Hijacker); !ok {
			outer = nil
		} else if outer == nil {
			outer = h
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return outer
		}
		w = u.Unwrap()
	}
}

// advice says what to do about a ResponseWriter that hides the connection.
func advice(w http.ResponseWriter) string {
	if fmt.Sprintf("%T", w) == "*http.timeoutWriter" {
		return "mount the handler outside of http.TimeoutHandler"
	}
	return "give that type a method Unwrap() http.ResponseWriter (see http.ResponseController), or mount the handler outside of its middleware"
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
