package ape

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// DialOptions of [Dial]. Nil and the zero value work.
type DialOptions struct {
	// Header is sent with every request.
	Header http.Header

	// Auth is asked before every connection for what the server's OnConnect and
	// Identify get as auth; it is encoded as JSON, of at most some 5 KiB. It has 30 s.
	// An error is tried again later, like a connection that fails. Where streaming
	// has to poll, every request is a connection.
	Auth func(ctx context.Context) (any, error)

	// Transport is the only one to use. Default: WebSocket, and streaming while
	// that is blocked.
	Transport Transport

	// TLSConfig and DialContext are those of the HTTP transports. Nil: the usual
	// ones, and proxies as the environment says.
	TLSConfig   *tls.Config
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// Handlers are what the server can call by Invoke, as of the first moment.
	// Conn.Handle adds others.
	Handlers map[string]Controller

	// OnState is told of every change, one after the other, on a goroutine of its
	// own: first StateConnecting, last StateClosed, also when Dial fails.
	OnState func(StateChange)

	// Timeout is how long Invoke waits when neither its context nor Timeouts, by
	// path, say. Default 10 s. Negative: for ever.
	Timeout  time.Duration
	Timeouts map[string]time.Duration

	// MaxMessage is the longest message of the server in bytes; a longer one ends
	// its call with too_large. Default 1 MiB.
	MaxMessage int

	// MaxQueue is how many bytes may wait for the server, or for its word that it
	// has them; above it calls fail with overflow. As many may wait for the funcs
	// given to On, and the oldest are dropped above that. Default 1 MiB.
	MaxQueue int

	// MaxCalls is how many calls of the server may be open, MaxRunning how many of
	// them run at once. Defaults 256 and 16.
	MaxCalls, MaxRunning int

	// StreamWindow is how many items of a stream from the server may be on the way
	// and waiting. Large items lower it by themselves. Default 64.
	StreamWindow int

	// Logger gets what the program's owner should know. Nil: slog.Default().
	Logger *slog.Logger
}

// Conn is a connection that this program has dialled: the Go client. It is a
// [Target] of Invoke and InvokeStream. What it does survives the loss of a
// connection: it connects again by itself and goes on with its session. All
// methods may be called from any goroutine.
type Conn struct {
	peer
	own  engine
	opt  DialOptions
	base string // http URL of the mount and /ape
	web  *http.Client
	http *http.Client

	loops sync.WaitGroup // goroutines without user code
	done  chan struct{}  // closed at the end

	buffered bool // responses are held back on their way; of who connects

	// The peer's mu guards these.
	id      string
	token   string
	try     uint64
	epoch   int // sessions so far
	link    *link
	gapCode string // why the next session is another one, when the client knows
	beat    time.Duration
	keeper  string
	keyLife time.Duration
	endCall context.CancelCauseFunc // ends the contexts of the server's calls
	state   State
	final   error // why the Conn has ended
	told    []StateChange
	telling bool
	subs    map[string]*subscription
	leaving map[string]int // unsubscribed, and not answered yet
	events  events
}

// Dial connects to a server of ape. rawURL is the one that it is mounted at and
// "/ape", as in "https://example.org/api/ape"; ws and wss mean the same. It
// returns when the session has begun, and else an error: when ctx ends, when the
// server refuses, or when it cannot be reached, neither by WebSocket nor by
// streaming. Later losses are mended by the Conn itself, until Close or until the
// server says that it must not come back.
func Dial(ctx context.Context, rawURL string, o *DialOptions) (*Conn, error) {
	c := &Conn{done: make(chan struct{})}
	if o != nil {
		c.opt = *o
	}
	var err error
	if c.base, err = baseURL(rawURL); err != nil {
		return nil, err
	}
	switch c.opt.Transport {
	case "", WebSocket, Streaming:
	default:
		return nil, fmt.Errorf("ape: dial: unknown transport %q; want WebSocket, Streaming, or none to use both", c.opt.Transport)
	}
	c.prepare()
	for path, h := range c.opt.Handlers {
		c.Handle(path, h)
	}
	if err := c.first(ctx); err != nil {
		err = dialFailed(c.base, err)
		c.shut(&CloseError{Code: closeAway, Reason: "the first connection failed"}, StateChange{State: StateClosed, Code: partingOf(err).code, Err: err})
		c.loops.Wait()
		return nil, err
	}
	return c, nil
}

// baseURL is the http form of a URL.
func baseURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("ape: dial: %w", err)
	}
	switch u.Scheme {
	case "http", "https":
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return "", fmt.Errorf("ape: dial %q: the URL must begin with https, http, wss or ws", raw)
	}
	if u.Host == "" {
		return "", fmt.Errorf("ape: dial %q: the URL has no host", raw)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawQuery, u.Fragment = "", ""
	return u.String(), nil
}

// prepare sets up what does not need a connection.
func (c *Conn) prepare() {
	o := Options{
		MaxMessage: c.opt.MaxMessage, MaxQueue: c.opt.MaxQueue, MaxCalls: c.opt.MaxCalls, MaxRunning: c.opt.MaxRunning,
		StreamWindow: c.opt.StreamWindow, Rate: Rate{PerSecond: -1}, Logger: c.opt.Logger,
	}
	c.own.init(o.withDefaults())
	c.peer.init(&c.own, c, lineWire)
	c.odd = true
	c.asks.last = math.MaxUint64 // so that the first id is 1
	c.out = transport.NewStrictOutbox(c.own.opt.MaxQueue, nil)
	c.values, c.endCall = context.WithCancelCause(c.ctx)
	c.beat = c.own.opt.Heartbeat
	c.subs, c.leaving = map[string]*subscription{}, map[string]int{}
	c.events.init()
	c.state = StateDisconnected

	plain := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: c.opt.DialContext, TLSClientConfig: c.opt.TLSConfig.Clone(),
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // an upgrade needs HTTP/1.1
		TLSHandshakeTimeout: firstByteWithin,
	}
	streams := &http.Transport{ // HTTP/2 changes its TLSConfig
		Proxy: http.ProxyFromEnvironment, DialContext: c.opt.DialContext, TLSClientConfig: c.opt.TLSConfig.Clone(),
		ForceAttemptHTTP2: true, TLSHandshakeTimeout: firstByteWithin,
		HTTP2: &http.HTTP2Config{SendPingTimeout: welcomeWithin, PingTimeout: firstByteWithin}, // else a dead one is used again
	}
	c.web, c.http = &http.Client{Transport: plain}, &http.Client{Transport: streams}
}

// Handle registers what the server can call by Invoke. Stream, Collect and Duplex
// make handlers that stream. Paths and panics are those of Server.Handle.
func (c *Conn) Handle(path string, h Controller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own.routes.add(path, h, nil)
}

// ID is the client's public id at the server, new after a gap.
func (c *Conn) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// Transport tells how the Conn is connected now, Detached when it is not.
func (c *Conn) Transport() Transport { return c.transport() }

// Send sends an event to the server, where the controller of that path runs and
// nothing is answered. It waits for a connection in the queue like a call; the
// error is ErrGone behind the end, or an *Error of code overflow, too_large or
// invalid.
func (c *Conn) Send(event string, data any) error {
	event = trimSlash(event)
	if err := checkName(event); err != nil {
		return err
	}
	f, err := c.lineOf(data, func(b []byte) []byte { return line.AppendEvent(b, event) })
	if err != nil {
		return unsendable(err, c.limit())
	}
	return c.put(c.ctx, nil, f)
}

// Done is closed when the Conn has ended for good: by Close, or because the server
// has said that it must not come back.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the Conn has ended: nil while it has not, ErrGone behind Close,
// else a *CloseError.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.final
}

// Close ends the session, at once and for good. What is queued is still sent, for
// at most 2 s, but with the session the server ends what runs for it: wait for the
// answer of a call that matters. Open calls fail with ErrGone. Without a connection
// the server learns of it when its ResumeWindow has passed. Close does not wait for
// funcs of the program, and may be called by them. Closing again does nothing.
func (c *Conn) Close() error {
	c.mu.Lock()
	l := c.link
	if c.final == nil {
		c.final = ErrGone
	}
	c.mu.Unlock()
	if l != nil {
		l.bye()
	}
	c.shut(&CloseError{Code: closeNormal, Reason: "closed"}, StateChange{State: StateClosed, Code: "closed"})
	c.loops.Wait()
	<-c.done
	return nil
}

// shut ends everything, once.
func (c *Conn) shut(why *CloseError, change StateChange) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	if c.final == nil {
		c.final = why
	}
	waiting := c.finishPeer()
	subs := c.subs
	c.subs = map[string]*subscription{}
	for _, s := range subs {
		s.end(ErrGone)
	}
	c.link = nil
	c.events.end()
	if change.State != "" {
		c.change(change)
	}
	c.mu.Unlock()
	c.cancel(why)
	for _, call := range waiting {
		call.ctx.end()
	}
	c.out.End()
	c.own.close(why)
	c.web.CloseIdleConnections()
	c.http.CloseIdleConnections()
	close(c.done)
}

func (c *Conn) target() (*peer, error) {
	if c.over.Load() {
		return nil, ErrGone
	}
	return &c.peer, nil
}

// The rest makes a Conn the owner of its peer.

func (c *Conn) label() string { return c.base }
func (c *Conn) queued()       {}

// slow gives up a session whose server does not take what it asks for. mu is held.
func (c *Conn) slow() {
	if c.link != nil {
		c.link.cancel(&parting{code: "overflow", then: "new", message: "the server does not take what it asks for"})
	}
}

func (c *Conn) transport() Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil || !c.link.welcomed {
		return Detached
	}
	return c.link.transport
}

func (c *Conn) patience(path string) time.Duration {
	d, ok := c.opt.Timeouts[path]
	if !ok {
		d = c.opt.Timeout
	}
	if d == 0 {
		d = 10 * time.Second
	}
	return max(d, 0)
}

// take carries out what only a server sends. mu is held.
func (c *Conn) take(e *line.Envelope) {
	name := string(e.Name)
	switch e.Op {
	case line.Event:
		c.hear(name, e)
	case line.Message:
		c.deliver(name, e)
	case line.Unsubscribe:
		if s := c.subs[name]; e.ID == 0 && s != nil {
			delete(c.subs, name)
			s.end(c.failureOf(e.Payload))
		}
	default:
		c.tell(e.ID, Errorf(Unsupported, "a server does not send %v", e.Op))
	}
}

// quit reads a q line. mu is held.
func (c *Conn) quit(payload []byte) error {
	p, err := readQuit(payload)
	if err != nil {
		return err
	}
	if l := c.link; l != nil && l.welcomed && p.code == CloseRestart.String() {
		select {
		case l.moves <- p.within:
		default:
		}
		return nil
	}
	return p
}
