package ape

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/goape/ape/codec"
)

// Call is one call of a client while its controller runs. [From] finds it in
// the controller's context. Its methods may be called from any goroutine, also
// after the controller has returned.
type Call struct {
	peer   *peer
	route  *route // nil: no such path
	path   string
	id     uint64 // ape.1; 0 for an event, which is not answered
	query  string // classic
	posted chan<- reply
	event  bool // nothing is answered

	// The peer's mu guards these.
	began    bool   // it has, or had, a goroutine
	answered bool   // its terminal line is queued
	short    *Error // with which it was cut short, while it ran

	payload []byte // what came: JSON, or octets; nil: nothing
	octets  bool
	message []byte // classic: the whole message, when the payload has tags

	in    *inflow  // the items that the caller sends; nil: none
	out   *outflow // its credit for a stream; nil: it takes none
	kept  []any    // classic: the items of a stream, which is answered as a whole
	size  int      // their bytes
	keyed *keyed   // of a call with an idempotency key

	since time.Time
	ctx   callContext
	small [96]byte // room for a small payload
}

// keep copies what came.
func (c *Call) keep(payload []byte) {
	if payload != nil {
		c.payload = append(c.small[:0], payload...)
	}
}

// streams reports whether the call carries items, in either direction.
func (c *Call) streams() bool { return c.in != nil || c.out != nil }

// reply is the answer to a classic POST.
type reply struct {
	body []byte
	err  *Error
}

// From returns the call that ctx belongs to, nil outside of one.
func From(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}

// Path is the path that the client called.
func (c *Call) Path() string { return c.path }

// Client is who called; nil on a Conn, where the server did.
func (c *Call) Client() *Client {
	if s := c.session(); s != nil {
		return &s.client
	}
	return nil
}

// Conn is the connection whose server called, nil in a call of a client.
func (c *Call) Conn() *Conn {
	conn, _ := c.peer.owner.(*Conn)
	return conn
}

// Server is the server that runs the call, nil on a Conn.
func (c *Call) Server() *Server {
	if s := c.session(); s != nil {
		return s.server
	}
	return nil
}

// Request is the request that the client's session began with, without its
// body and context, nil on a Conn. It is shared by all calls: do not change it.
func (c *Call) Request() *http.Request {
	if s := c.session(); s != nil {
		return s.request
	}
	return nil
}

// session is the session that the call came by, nil on a Conn.
func (c *Call) session() *session {
	s, _ := c.peer.owner.(*session)
	return s
}

// Decode stores what the client sent in v, a pointer. It follows encoding/json's
// field tags; see package codec for what else a value may hold. An input that
// does not fit is an *Error of code invalid that names the field. When the
// client sent nothing, v is left as it is.
func (c *Call) Decode(v any) error { return c.decodeInto(v) }

// Broadcast is Server.Broadcast.
func (c *Call) Broadcast(event string, data any) error {
	s := c.session()
	if s == nil {
		return errNoServer
	}
	return s.server.Broadcast(event, data)
}

// BroadcastOthers sends an event to every client but the caller.
func (c *Call) BroadcastOthers(event string, data any) error {
	s := c.session()
	if s == nil {
		return errNoServer
	}
	return s.server.Broadcast(event, data, Except(s.id))
}

// Publish is Server.Publish.
func (c *Call) Publish(channel string, data any) error {
	s := c.session()
	if s == nil {
		return errNoServer
	}
	return s.server.Publish(channel, data)
}

var errNoServer = errors.New("ape: this call came from a server; only a server broadcasts and publishes")

// decodeInto is Decode. v may point to struct{}, which takes anything, and to
// any, which holds codec.Undefined when nothing came.
func (c *Call) decodeInto(v any) error {
	opt := &c.peer.engine.codec
	if c.message == nil {
		return decodePayload(opt, c.payload, c.octets, v)
	}
	if _, any := v.(*struct{}); any {
		return nil
	}
	if err := opt.UnmarshalMember(c.message, "data", v); err != nil {
		return c.misfit(err)
	}
	return nil
}

// decodePayload stores the payload of a line in v; nil is none. An *Error of
// code invalid says why it does not fit.
func decodePayload(opt *codec.Options, payload []byte, octets bool, v any) error {
	switch in := v.(type) {
	case *struct{}:
		return nil
	case *any:
		if payload == nil {
			*in = codec.Undefined
			return nil
		}
		if octets {
			*in = payload
			return nil
		}
	case *[]byte:
		if octets {
			*in = payload
			return nil
		}
	}
	switch {
	case payload == nil:
		return nil
	case octets:
		return Errorf(Invalid, "these are bytes, expected is JSON")
	}
	if err := opt.Unmarshal(payload, v); err != nil {
		return Errorf(Invalid, "%s", strings.TrimPrefix(err.Error(), "codec: "))
	}
	return nil
}

// misfit tells the client about an input that does not fit, without the name of
// the package that found out, and with a path that begins at the input.
func (c *Call) misfit(err error) *Error {
	if t, ok := err.(*codec.TypeError); ok && c.message != nil {
		inner := *t
		inner.Path = strings.TrimPrefix(strings.TrimPrefix(t.Path, "data"), ".")
		err = &inner
	}
	return Errorf(Invalid, "%s", strings.TrimPrefix(err.Error(), "codec: "))
}

// run serves the call and answers it, on a worker. It returns false, or not at
// all, when the controller has ended its goroutine (runtime.Goexit, which
// testing's FailNow calls), and answers it then too.
func (c *Call) run() (returned bool) {
	var result any
	err := errPanic
	defer func() {
		if !returned {
			c.peer.finish(c, nil, err)
		}
	}()
	result, err = c.serve()
	returned = true
	c.peer.finish(c, result, err)
	return true
}

// serve runs hooks and controller; a panic becomes an error.
func (c *Call) serve() (result any, err error) {
	if c.keyed != nil && c.keyed.have != nil {
		return nil, nil // finish knows the answer
	}
	defer c.recoverPanic(&result, &err)
	g := c.peer.engine
	if c.route == nil {
		c.peer.mu.Lock() // Conn.Handle may add others meanwhile
		near := g.routes.suggestion(c.path)
		c.peer.mu.Unlock()
		return nil, Errorf(NotFound, "no controller is registered for %q%s", shown(c.path), near)
	}
	if hook := g.opt.OnReceive; hook != nil {
		if after := hook(&c.ctx, c); after != nil {
			defer func() { after(result, err) }()
		}
	}
	return c.control()
}

// control runs the controller. Its panic is an error already where OnReceive's
// after-hook is called.
func (c *Call) control() (result any, err error) {
	if err := c.ctx.Err(); err != nil {
		c.forget()
		return nil, err // cancelled while it waited for its turn
	}
	defer c.recoverPanic(&result, &err)
	return c.route.serve.Serve(&c.ctx, c)
}

// recoverPanic is deferred; it logs a panic and makes an error of it.
func (c *Call) recoverPanic(result *any, err *error) {
	if p := recover(); p != nil {
		c.peer.engine.counters.panics.Add(1)
		c.peer.engine.opt.Logger.Error("ape: panic in a call", "peer", c.peer.owner.label(), "path", c.path, "panic", p, "stack", string(debug.Stack()))
		*result, *err = nil, errPanic
	}
}

// errPanic has been logged with its stack.
var errPanic = errors.New("panic")

// failure turns an error of a controller into what the client is told.
func (c *Call) failure(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if ended := c.ctx.Err(); ended != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Cause(&c.ctx))) {
		if ended == context.DeadlineExceeded {
			return Errorf(Deadline, "the call's time was up")
		}
		return Errorf(Cancelled, "the call was cancelled")
	}
	if err != errPanic {
		c.peer.engine.opt.Logger.Error("ape: call failed", "peer", c.peer.owner.label(), "path", c.path, "err", err)
	}
	return Errorf(Internal, "internal error")
}

// shown shortens what a client sent for an error's text.
func shown(s string) string {
	if len(s) > 64 {
		return fmt.Sprintf("%s… (%d bytes)", s[:64], len(s))
	}
	return s
}
