package ape

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// openSocket connects by WebSocket and returns when the server has welcomed the
// client. A patient one says hello only behind the server's first byte: until
// then the connection before it goes on.
func (c *Conn) openSocket(ctx context.Context, patient bool) (*link, error) {
	l := c.newLink(ctx, WebSocket)
	dialing, stop := context.WithTimeout(l.ctx, firstByteWithin)
	defer stop()
	ws, res, err := websocket.Dial(dialing, c.base, &websocket.DialOptions{
		HTTPClient: c.web, HTTPHeader: c.opt.Header.Clone(), Subprotocols: []string{lineProtocol},
	})
	if err != nil {
		l.cancel(err)
		return nil, refusedUpgrade(res, err)
	}
	if ws.Subprotocol() != lineProtocol {
		ws.CloseNow()
		l.cancel(errMismatch)
		return nil, &parting{code: "version", then: "resume", message: "the server does not speak " + lineProtocol}
	}
	ws.SetReadLimit(-1) // limits are the splitter's matter
	sink := &socketSink{l: l, ws: ws, timeout: c.own.opt.WriteTimeout}
	l.w = transport.NewWriter(sink, transport.StreamLines, &c.loops)
	l.bye = func() { sink.bye() }
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
	if err := sink.hello(); err != nil {
		l.cancel(err)
		<-l.ended
		return nil, l.why()
	}
	return l, l.wait()
}

// refusedUpgrade is why no WebSocket came about.
func refusedUpgrade(res *http.Response, err error) error {
	p := &parting{code: "blocked", then: "resume", err: err}
	if res != nil {
		p.within = afterHeader(res)
	}
	return p
}

// read takes messages until the connection ends.
func (l *link) read(ws *websocket.Conn, first chan struct{}) error {
	split := &l.conn.own.split
	for {
		kind, r, err := ws.Reader(context.Background())
		if err != nil {
			return socketParting(err)
		}
		signal(first)
		err = split.Split(hearing{r, l}, kind == websocket.MessageBinary, func(u line.Unit) error {
			return l.conn.takeLine(l, u)
		})
		switch {
		case errors.Is(err, line.ErrTorn):
			ws.Close(websocket.StatusCode(CloseTorn), "")
			return &parting{code: "torn", then: "resume"}
		case errors.Is(err, line.ErrTooLong), errors.Is(err, line.ErrUTF8):
			return &parting{code: "malformed", then: "new", err: err}
		case websocket.CloseStatus(err) != -1:
			return socketParting(err)
		case err != nil:
			return err
		}
	}
}

// socketParting reads a close code, where no q line has said more.
func socketParting(err error) error {
	code := CloseCode(websocket.CloseStatus(err))
	switch {
	case code == -1:
		return err
	case code == closeNormal || code >= 4200:
		return &parting{code: code.String(), then: "final", told: true}
	case code >= 4100, code == 1002, code == 1003, code == 1007, code == 1009, code == 1010:
		return &parting{code: code.String(), then: "new", told: code >= 4000}
	}
	return &parting{code: code.String(), then: "resume", told: code >= 4000}
}

// hearing notes that bytes came.
type hearing struct {
	r interface{ Read([]byte) (int, error) }
	l *link
}

func (h hearing) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if n > 0 {
		h.l.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// maxJoined is how many bytes of lines make one message: what is cut is repeated
// as a whole.
const maxJoined = 16 << 10

// socketSink writes lines as masked messages.
type socketSink struct {
	l       *link
	ws      *websocket.Conn
	timeout time.Duration
	message interface { // a message that is not whole yet
		Write([]byte) (int, error)
		Close() error
	}
}

// Write writes whole lines, or a slice of a long one.
func (s *socketSink) Write(p []byte) error {
	ctx, cancel := context.WithTimeout(s.l.ctx, s.timeout)
	defer cancel()
	for len(p) > 0 {
		n := len(p)
		if s.message == nil && n > maxJoined {
			if i := bytes.LastIndexByte(p[:maxJoined], '\n'); i >= 0 {
				n = i + 1
			} else if i := bytes.IndexByte(p, '\n'); i >= 0 {
				n = i + 1
			}
		}
		if err := s.write(ctx, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// write writes a message, or a part of one: up to a line feed.
func (s *socketSink) write(ctx context.Context, p []byte) error {
	whole := p[len(p)-1] == '\n'
	if s.message == nil {
		if whole {
			return s.ws.Write(ctx, websocket.MessageText, p)
		}
		w, err := s.ws.Writer(s.l.ctx, websocket.MessageText)
		if err != nil {
			return err
		}
		s.message = w
	}
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	_, err := s.message.Write(p)
	if whole && err == nil {
		err = s.message.Close()
		s.message = nil
	}
	return err
}

// Close ends a write that is under way.
func (s *socketSink) Close() { s.l.cancel(errors.New("ape: the connection was given up")) }

// hello says it. Nothing else is written before the welcome.
func (s *socketSink) hello() error {
	text, err := s.l.conn.hello(s.l)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.l.ctx, s.timeout)
	defer cancel()
	return s.ws.Write(ctx, websocket.MessageText, line.AppendHello(nil, text))
}

// bye writes what is queued and a last line, and closes with 1000.
func (s *socketSink) bye() {
	s.l.w.End(0, "", line.AppendQuit(nil, "bye", "", 0, ""), false)
	late := time.AfterFunc(lastWordsWithin, func() { s.l.cancel(errOver) })
	defer late.Stop()
	select {
	case <-s.l.w.Done():
		s.ws.Close(websocket.StatusNormalClosure, "")
	case <-s.l.ctx.Done():
	}
	s.l.cancel(errOver)
	<-s.l.ended
}
