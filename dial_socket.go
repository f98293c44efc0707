package ape

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// openSocket connects by WebSocket and returns when the server has welcomed the
// client. A patient one says hello only behind the server's first byte: until
// then the connection before it goes on.
func (c *Conn) openSocket(ctx context.Context, patient bool) (*link, error) {
	auth, err := c.authenticate(ctx)
	if err != nil {
		return nil, err
	}
	l := c.newLink(ctx, WebSocket)
	dialing, stop := context.WithTimeoutCause(l.ctx, firstByteWithin, errMute)
	defer stop()
	ws, res, err := websocket.Dial(dialing, c.base, &websocket.DialOptions{
		HTTPClient: c.web, HTTPHeader: c.opt.Header.Clone(), Subprotocols: []string{lineProtocol},
	})
	if err != nil {
		if cause := context.Cause(dialing); cause != nil {
			err = cause
		}
		l.cancel(err)
		return nil, refusedUpgrade(res, err)
	}
	if ws.Subprotocol() != lineProtocol {
		ws.CloseNow()
		l.cancel(errMismatch)
		return nil, &parting{code: "version", then: "resume", message: "a WebSocket server answered that does not speak " + lineProtocol}
	}
	ws.SetReadLimit(-1) // limits are the splitter's matter
	sink := newSocketSink(l, ws)
	l.w = transport.NewWriter(sink, transport.DialLines, &c.loops)
	l.bye = sink.bye
	l.listen()
	context.AfterFunc(l.ctx, func() { ws.CloseNow() })
	first := make(chan struct{}, 1)
	c.loops.Go(func() { l.finish(l.read(ws, first)) })
	if patient {
		select {
		case <-first:
		case <-l.ended:
			return nil, l.why()
		}
	}
	if err := sink.hello(auth); err != nil {
		l.close(err)
		return nil, l.why()
	}
	return l, l.wait()
}

// read takes messages until the connection ends.
func (l *link) read(ws *websocket.Conn, first chan struct{}) error {
	split := &l.conn.own.split
	for {
		kind, r, err := ws.Reader(context.Background())
		if err != nil {
			return socketParting(err)
		}
		l.sound() // an empty message is a sign of life, too
		signal(first)
		err = split.Split(hearing{r, l}, kind == websocket.MessageBinary, func(u line.Unit) error {
			return l.conn.takeLine(l, u)
		})
		switch {
		case errors.Is(err, line.ErrTorn):
			return &parting{code: "torn", then: "resume", err: err}
		case errors.Is(err, line.ErrTooLong), errors.Is(err, line.ErrUTF8):
			return &parting{code: "malformed", then: "new", err: err}
		case websocket.CloseStatus(err) != -1:
			return socketParting(err)
		case err != nil:
			return err
		}
	}
}

// hearing notes that bytes came.
type hearing struct {
	io.Reader
	l *link
}

func (h hearing) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if n > 0 {
		h.l.sound()
	}
	return n, err
}

// socketSink writes lines as masked text messages.
type socketSink struct {
	l       *link
	ws      *websocket.Conn
	late    *time.Timer    // gives the link up when a write takes too long
	message io.WriteCloser // of a long line that is not whole yet
}

func newSocketSink(l *link, ws *websocket.Conn) *socketSink {
	s := &socketSink{l: l, ws: ws}
	s.late = time.AfterFunc(time.Hour, s.Close)
	s.late.Stop()
	return s
}

// Write writes whole lines as a message, or a slice of a long one.
func (s *socketSink) Write(p []byte) error {
	s.late.Reset(s.l.conn.own.opt.WriteTimeout)
	defer s.late.Stop()
	whole := p[len(p)-1] == '\n'
	if s.message == nil {
		s.l.conn.noteKeys(p)
		if whole {
			return s.ws.Write(s.l.ctx, websocket.MessageText, p)
		}
		w, err := s.ws.Writer(s.l.ctx, websocket.MessageText)
		if err != nil {
			return err
		}
		s.message = w
	}
	_, err := s.message.Write(p)
	if whole && err == nil {
		err = s.message.Close()
		s.message = nil
	}
	return err
}

// Close ends a write that is under way.
func (s *socketSink) Close() { s.l.cancel(errGivenUp) }

// hello says it. Nothing else is written before the welcome.
func (s *socketSink) hello(auth []byte) error {
	text, err := s.l.conn.hello(s.l, auth)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.l.ctx, s.l.conn.own.opt.WriteTimeout) // the Writer may begin before this returns
	defer cancel()
	return s.ws.Write(ctx, websocket.MessageText, line.AppendHello(nil, text))
}

// bye writes what is queued and a last line, and waits until the server has closed
// the connection. A close frame of ours would make the library wait for longer.
func (s *socketSink) bye() {
	s.l.w.End(0, "", line.AppendQuit(nil, "bye", "", 0, ""), false)
	late := time.NewTimer(lastWordsWithin)
	defer late.Stop()
	select {
	case <-s.l.ended:
	case <-late.C:
	}
	s.l.close(errOver)
}
