package ape

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"
)

// Options of [New]. Nil and the zero value work and are safe; every field has
// the default written beside it.
type Options struct {
	// OnConnect is called once for every session, after the upgrade and before
	// anything that the client has sent is looked at. What it returns is the
	// context whose values every call of that client sees; nil changes nothing.
	// r is valid until it returns: copy what is needed. An error refuses the
	// client: an *Error's text is told to it, any other is logged. It runs on the
	// HTTP handler's goroutine and has HandshakeTimeout to return; ctx ends when
	// the client goes meanwhile.
	OnConnect func(ctx context.Context, c *Client, r *http.Request) (context.Context, error)

	// Identify says who a request comes from: a session is only given back to a
	// request of the same identity. "" means nobody in particular. An error
	// refuses the client. Nil: a hash of the session cookie, the Authorization
	// header and auth, or "" when all three are absent. auth is what an ape.1
	// client's hello carried, nil for classic clients.
	Identify func(r *http.Request, auth json.RawMessage) (string, error)

	// OnDisconnect is called once when a session has ended, with a *CloseError.
	OnDisconnect func(c *Client, why error)

	// OnAway is called with true when a client has lost its connection while its
	// session goes on, and with false when it is back; a client that is back at once
	// may go unnoticed. At the end of a session only OnDisconnect is called. Calls
	// for one client come one after the other.
	OnAway func(c *Client, away bool)

	// OnReceive is called before every call's controller, in the call's
	// goroutine. A returned func is called with the outcome.
	OnReceive func(ctx context.Context, c *Call) (after func(result any, err error))

	// OnSend is called before an event or channel message is queued for a
	// client, in the sender's goroutine. A returned func is called with nil or
	// the reason why it could not be queued.
	OnSend func(c *Client, name string, data any) (after func(err error))

	// OnError is told what went wrong outside of any call: unreadable messages,
	// refused subscriptions of classic clients, requests of foreign origins. c is
	// nil where there is no client yet.
	OnError func(c *Client, err error)

	// AuthorizeSubscribe decides about a client's own subscriptions, not about
	// those made from Go by Client.Subscribe. An error refuses. Nil allows every
	// channel but those under "private/".
	AuthorizeSubscribe func(ctx context.Context, c *Client, channel string) error

	// Observer is told of calls, connections, drops and gaps. Nil: nothing is
	// measured for it.
	Observer *Observer

	// NotFound answers requests whose path is none of ape's. Nil:
	// http.NotFound.
	NotFound http.Handler

	// Logger gets what the program's owner should know. Nil: slog.Default().
	Logger *slog.Logger

	// SessionCookie names the cookie of the program's own login session, for
	// Client.SessionID. Default "sessionId".
	SessionCookie string

	// TrustedOrigins may use the server from other sites, such as
	// "https://app.example.com". Default none: the same origin only.
	TrustedOrigins []string

	// InsecureAnyOrigin lets every web page on the internet act with its
	// visitor's cookies. For development only.
	InsecureAnyOrigin bool

	// Rate limits the calls of one client. Default 200 a second, and bursts of
	// five times as many. A negative PerSecond means no limit.
	Rate Rate

	// MaxMessage is the longest message of a client in bytes; a longer one is
	// answered with too_large. Above 16 times as much the connection is closed.
	// Default 1 MiB.
	MaxMessage int

	// MaxDepth bounds how deeply a message may be nested. Default 64.
	MaxDepth int

	// MaxQueue is how many bytes may wait for one client, and in ape.1 be kept
	// until it has acknowledged them; a client further behind is closed as slow.
	// Default 1 MiB; at least MaxMessage.
	MaxQueue int

	// MaxBacklog bounds the queues of all clients together: above it sessions
	// end, detached ones first, and those with the longest queue first. Default
	// 256 MiB.
	MaxBacklog int64

	// MaxCalls is how many calls of a client may be open, MaxRunning how many
	// of them run at once. Defaults 256 and 16.
	MaxCalls, MaxRunning int

	// MaxStreams is how many calls that carry a stream, in either direction, a
	// client may have open; they take no place of MaxRunning. Default 64.
	MaxStreams int

	// StreamWindow is how many items of a stream to the server may be on the way
	// and waiting. Large items lower it by themselves. Default 64.
	StreamWindow int

	// Timeout is how long Invoke waits for a client's answer when its context has
	// no deadline. Default 10 s. Negative: for as long as the session lives.
	Timeout time.Duration

	// KeyWindow is how long the answer of a call with an idempotency key is
	// remembered. Default 5 min. Negative: not at all.
	KeyWindow time.Duration

	// MaxSubscriptions bounds the channels of one client. Default 256.
	MaxSubscriptions int

	// MaxClients bounds the sessions of the server, MaxClientsPerBrowser those
	// that share one browser's cookie, MaxHandshakes the connections that are
	// not yet established. Defaults 100000, 64 and 1024.
	MaxClients, MaxClientsPerBrowser, MaxHandshakes int

	// MaxLastValues bounds the channels whose last value is kept; the one that
	// was published least recently goes first. Default 10000. Negative: none is
	// kept.
	MaxLastValues int

	// HandshakeTimeout is how long a client may take to say hello, and OnConnect
	// to return. Default 10 s.
	HandshakeTimeout time.Duration

	// Heartbeat is the silence after which a client is asked for a sign of
	// life; after three times as much its connection is given up. Default 25 s.
	Heartbeat time.Duration

	// WriteTimeout is how long 64 KiB may take to a client. Default 10 s.
	WriteTimeout time.Duration

	// ResumeWindow is how long an ape.1 session lives without a connection.
	// Default 60 s.
	ResumeWindow time.Duration

	// DrainWindow is the time over which Shutdown spreads the clients' return.
	// Default 5 s.
	DrainWindow time.Duration
}

// Rate is a number of calls per second, and how many may come at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// burstSeconds times a rate may come at once, where Burst says nothing else.
const burstSeconds = 5

// classicLinger is how long a classic streaming session outlives its last GET.
const classicLinger = 30 * time.Second

// ackDelay is when an ape.1 line that came is acknowledged at the latest.
const ackDelay = 5 * time.Second

// withDefaults returns a copy of o in which nothing is zero that has a default.
func (o *Options) withDefaults() Options {
	var v Options
	if o != nil {
		v = *o
	}
	if v.Logger == nil {
		v.Logger = slog.Default()
	}
	if v.NotFound == nil {
		v.NotFound = http.HandlerFunc(http.NotFound)
	}
	v.Rate.PerSecond = cmp.Or(v.Rate.PerSecond, 200)
	v.Rate.Burst = positive(v.Rate.Burst, max(1, int(burstSeconds*v.Rate.PerSecond)))
	v.SessionCookie = cmp.Or(v.SessionCookie, "sessionId")
	v.MaxMessage = positive(v.MaxMessage, 1<<20)
	v.MaxDepth = positive(v.MaxDepth, 64)
	v.MaxQueue = max(positive(v.MaxQueue, 1<<20), v.MaxMessage)
	v.MaxBacklog = positive(v.MaxBacklog, 256<<20)
	v.MaxCalls = positive(v.MaxCalls, 256)
	v.MaxRunning = positive(v.MaxRunning, 16)
	v.MaxStreams = positive(v.MaxStreams, 64)
	v.StreamWindow = positive(v.StreamWindow, 64)
	v.Timeout = cmp.Or(v.Timeout, 10*time.Second)
	v.KeyWindow = cmp.Or(v.KeyWindow, 5*time.Minute)
	v.MaxSubscriptions = positive(v.MaxSubscriptions, 256)
	v.MaxClients = positive(v.MaxClients, 100_000)
	v.MaxClientsPerBrowser = positive(v.MaxClientsPerBrowser, 64)
	v.MaxHandshakes = positive(v.MaxHandshakes, 1024)
	v.MaxLastValues = cmp.Or(v.MaxLastValues, 10_000)
	v.HandshakeTimeout = positive(v.HandshakeTimeout, 10*time.Second)
	v.Heartbeat = positive(v.Heartbeat, 25*time.Second)
	v.WriteTimeout = positive(v.WriteTimeout, 10*time.Second)
	v.ResumeWindow = positive(v.ResumeWindow, time.Minute)
	v.DrainWindow = positive(v.DrainWindow, 5*time.Second)
	return v
}

// positive returns v, or other when v is not above zero.
func positive[T int | int64 | time.Duration](v, other T) T {
	if v > 0 {
		return v
	}
	return other
}
