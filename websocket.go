package ape

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/goape/ape/internal/classic"
	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// hardFactor times MaxMessage is where a connection ends instead of a message.
const hardFactor = 16

// serveSocket upgrades a request. It returns when OnConnect has; the connection
// is then served by a goroutine of its own.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	d, ok := s.mayUpgrade(w, r)
	if !ok {
		return
	}
	done, ok := s.handshake()
	if !ok {
		unavailable(w)
		return
	}
	defer done()
	s.cookie(w, r)
	cookie := presented(r)
	o := transport.SocketOptions{
		Form: transport.SocketMessages, Idle: 3 * s.opt.Heartbeat,
		WriteTimeout: s.opt.WriteTimeout, Group: &s.tasks,
	}
	if d == lineWire {
		o.Form, o.Subprotocols = transport.SocketLines, []string{lineProtocol}
	}
	sock, err := transport.Accept(w, r, o)
	if err != nil {
		s.opt.Logger.Warn("ape: WebSocket refused", "err", err, "remote", r.RemoteAddr)
		return // a response has been written
	}
	k := &socketConn{conn: conn{w: sock.Writer(), socket: sock, transport: WebSocket, dialect: d}, server: s}
	gone, lost := context.WithCancel(context.Background())
	defer lost()
	k.gone = gone
	b := &beginning{hello: make(chan []byte, 1), ready: make(chan struct{}), lost: lost}
	k.begin = b
	if !s.spawn(k.serve) {
		sock.Writer().Abort()
		return
	}
	k.open(r, cookie, b)
}

// handshake counts a client that is on its way in until done. It reports false
// above the limit, and while the server shuts down.
func (s *Server) handshake() (done func(), ok bool) {
	done = func() { s.handshakes.Add(-1) }
	if s.handshakes.Add(1) > int64(s.opt.MaxHandshakes) || s.draining.Load() {
		done()
		return nil, false
	}
	return done, true
}

// mayUpgrade checks a request before the upgrade and chooses the dialect.
func (s *Server) mayUpgrade(w http.ResponseWriter, r *http.Request) (dialect, bool) {
	if !s.origins.allow(w, r) {
		return nil, false
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		if r.ProtoMajor == 1 { // HTTP/2 forbids these headers
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
		}
		http.Error(w, "ape: this is the address of a WebSocket; the request has no Upgrade header. Behind nginx, "+
			"add: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; proxy_set_header Host $http_host;", http.StatusUpgradeRequired)
		return nil, false
	}
	offered := r.Header.Values("Sec-WebSocket-Protocol")
	if len(offered) == 0 {
		return classicWire, true
	}
	for _, list := range offered {
		for p := range strings.SplitSeq(list, ",") {
			if strings.TrimSpace(p) == lineProtocol {
				return lineWire, true
			}
		}
	}
	http.Error(w, "ape: of the subprotocols offered none is spoken here; offer "+lineProtocol+", or none for the classic dialect", http.StatusBadRequest)
	return nil, false
}

// socketConn is a WebSocket on its way through the handshake and after.
type socketConn struct {
	conn
	server *Server
	num    uint64 // ape.1: number of the last counted line

	mu    sync.Mutex
	begin *beginning // nil once the session is there
	said  bool       // the first line was the hello
}

// beginning is what a connection needs until its session is there. What arrives
// meanwhile is kept, in order; above maxEarly the reader waits.
type beginning struct {
	hello chan []byte   // the first line; closed without one when the connection ends
	ready chan struct{} // closed when the session is there, or will never be
	lost  func()
	early []early
	bytes int
}

type early struct {
	unit line.Unit
	doc  []byte // classic
}

const maxEarly = 64 << 10

// open makes the session, on the HTTP handler's goroutine.
func (k *socketConn) open(r *http.Request, cookie string, b *beginning) {
	var x *session
	var refuse *refusal
	if k.dialect == classicWire {
		x, refuse = k.server.openClassic(r, cookie, &k.conn)
	} else if h, no := k.waitHello(b); no != nil {
		refuse = no
	} else {
		x, refuse = k.server.welcomeLine(r, h, cookie, &k.conn)
		k.num = k.base
	}
	if refuse != nil {
		k.close(refuse.code, refuse.message, true)
	} else {
		k.startHeart(k.server.opt.Heartbeat)
	}
	k.catchUp(b, x)
}

// waitHello waits for the first line, and writes empty lines meanwhile so that
// the client sees that the connection works.
func (k *socketConn) waitHello(b *beginning) (*hello, *refusal) {
	timeout := time.NewTimer(k.server.opt.HandshakeTimeout)
	defer timeout.Stop()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	k.w.Control([]byte("\n"))
	for {
		select {
		case text := <-b.hello:
			h, err := parseHello(text)
			if text == nil || err != nil {
				return nil, &refusal{code: CloseHello, message: "the first line must be a hello"}
			}
			return h, nil
		case <-tick.C:
			k.w.Control([]byte("\n"))
		case <-timeout.C:
			return nil, &refusal{code: CloseHello, message: "no hello came in time"}
		case <-k.server.ctx.Done():
			return nil, &refusal{code: CloseUnavailable, message: "the server is shutting down"}
		}
	}
}

// catchUp dispatches what came early, in order, and lets the reader go on.
func (k *socketConn) catchUp(b *beginning, x *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if x != nil {
		for _, e := range b.early {
			if k.dispatch(e) != nil {
				break
			}
		}
	}
	k.begin = nil
	close(b.ready)
}

// dispatch hands what came to the session.
func (k *socketConn) dispatch(e early) error {
	if e.doc != nil {
		return k.session.takeMessage(&k.conn, e.doc)
	}
	if line.Counted(e.unit.Head) {
		k.num++
	}
	err := k.session.takeLine(&k.conn, k.num, e.unit)
	if err == errBye {
		k.session.end(&CloseError{Code: CloseEnded, Reason: "bye"}, false)
	}
	return err
}

// serve reads until the connection ends. It is the connection's goroutine.
func (k *socketConn) serve() {
	var err error
	func() {
		defer func() {
			if p := recover(); p != nil {
				k.server.opt.Logger.Error("ape: panic on a connection", "panic", p, "stack", string(debug.Stack()))
				err = errPanic
			}
		}()
		for err == nil {
			err = k.next()
		}
	}()
	k.mu.Lock()
	b := k.begin
	if b != nil && !k.said {
		close(b.hello)
		k.said = true
	}
	k.mu.Unlock()
	if b != nil {
		b.lost()
		// What came whole is taken before the close frame invites the client
		// to come back.
		<-b.ready
	}
	why := k.explain(err)
	k.socket.Finish()
	k.stopHeart()
	if k.session != nil {
		k.session.detach(&k.conn, why)
	}
}

// explain closes the connection as its reader's end demands, and says how the
// session ends that cannot live without it; nil lets it be detached.
func (k *socketConn) explain(err error) *CloseError {
	var peer *transport.CloseError
	switch {
	case errors.As(err, &peer):
		if peer.Code == int(closeNormal) {
			return &CloseError{Code: closeNormal}
		}
		if k.dialect == classicWire {
			return &CloseError{Code: CloseCode(peer.Code)}
		}
	case errors.Is(err, line.ErrTorn):
		k.close(CloseTorn, "a message ended inside a line", true)
	case errors.Is(err, line.ErrUTF8), errors.Is(err, transport.ErrUTF8):
		k.close(closeUTF8, "a message was not UTF-8", true)
		return &CloseError{closeUTF8, "a message was not UTF-8"}
	case errors.Is(err, line.ErrTooLong), errors.Is(err, transport.ErrTooBig):
		return k.tooBig()
	case errors.Is(err, transport.ErrIdle):
		why := &CloseError{CloseIdle, "nothing was heard from the client"}
		k.close(why.Code, why.Reason, true)
		if k.dialect == classicWire {
			return why
		}
	case err == errPanic:
		k.close(closeInternal, "", true)
	}
	return nil
}

// tooBig ends a connection whose client has sent far more than is allowed.
func (k *socketConn) tooBig() *CloseError {
	code := CloseEnded
	if k.dialect == classicWire {
		code = closeTooBig
	}
	why := &CloseError{code, "a message was far above the limit"}
	k.close(code, why.Reason, true)
	return why
}

// next reads one message.
func (k *socketConn) next() error {
	binary, r, err := k.socket.Next()
	if err != nil {
		return err
	}
	if k.dialect == classicWire {
		return k.message(r)
	}
	return k.server.split.Split(r, binary, k.unit)
}

// unit takes one line of ape.1.
func (k *socketConn) unit(u line.Unit) error {
	return k.take(early{unit: u})
}

// message takes one message of the classic dialect.
func (k *socketConn) message(r io.Reader) error {
	scratch := buffers.get()
	defer buffers.put(scratch)
	limit := k.server.opt.MaxMessage
	doc, err := readUpTo((*scratch)[:0], r, limit)
	*scratch = doc
	if err != nil {
		return err
	}
	if len(doc) <= limit {
		return k.take(early{doc: doc})
	}
	var h classic.Hasher
	h.Write(doc)
	n, err := io.Copy(&h, io.LimitReader(r, int64((hardFactor-1)*limit)))
	if err != nil {
		return err
	}
	if n >= int64((hardFactor-1)*limit) {
		return transport.ErrTooBig
	}
	k.mu.Lock()
	b := k.begin
	k.mu.Unlock()
	if b != nil {
		<-b.ready
	}
	if k.session == nil {
		return errOver
	}
	k.session.tooLongClassic(h.QueryID())
	return nil
}

// readUpTo appends to dst what r has, and stops above limit bytes.
func readUpTo(dst []byte, r io.Reader, limit int) ([]byte, error) {
	for len(dst) <= limit {
		if cap(dst)-len(dst) < 512 {
			dst = append(make([]byte, 0, 2*cap(dst)+512), dst...)
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// take hands on what came, or keeps a copy while there is no session yet.
func (k *socketConn) take(e early) error {
	k.mu.Lock()
	b := k.begin
	if b == nil {
		k.mu.Unlock()
		if k.session == nil {
			return errOver
		}
		return k.dispatch(e)
	}
	if k.dialect == lineWire && !k.said {
		defer k.mu.Unlock()
		k.said = true
		b.hello <- helloText(e.unit)
		return nil
	}
	if b.bytes+e.size() > maxEarly && b.bytes > 0 {
		k.mu.Unlock()
		<-b.ready
		if k.session == nil {
			return errOver
		}
		return k.dispatch(e)
	}
	b.bytes += e.size()
	b.early = append(b.early, e.clone())
	k.mu.Unlock()
	return nil
}

// helloText is the JSON of an h line, nil when u is none.
func helloText(u line.Unit) []byte {
	var e line.Envelope
	if line.OpOf(u.Head) != line.Hello || line.Parse(u.Head, u.Octets, u.Binary, &e) != nil {
		return nil
	}
	return append([]byte(nil), e.Payload...)
}

func (e *early) size() int { return len(e.doc) + len(e.unit.Head) + len(e.unit.Octets) + 64 }

// clone copies what belongs to the reader's buffer.
func (e early) clone() early {
	if e.doc != nil { // an empty one is a message, too
		e.doc = append([]byte{}, e.doc...)
	}
	e.unit.Head = append([]byte(nil), e.unit.Head...)
	if e.unit.Octets != nil {
		e.unit.Octets = append([]byte{}, e.unit.Octets...)
	}
	return e
}
