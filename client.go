package ape

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/mssola/useragent"
)

// Client is a connected peer as the server sees it. It stands for the client's
// session: it stays the same while the client loses its connection and comes
// back. All methods may be called from any goroutine, also after the end.
type Client struct{ session *session }

// Transport is how a client is connected.
type Transport string

// The transports. A detached client has none.
const (
	WebSocket Transport = "websocket"
	Streaming Transport = "streaming"
	Detached  Transport = ""
)

// ID is the client's public id: 26 characters, unguessable, never used again.
// It is no secret; whoever knows it can send to the client, not act for it.
func (c *Client) ID() string { return c.session.id }

// SessionID is the value of the program's own session cookie
// (Options.SessionCookie) in the request that the session began with, "" when
// there was none.
func (c *Client) SessionID() string {
	k, err := c.session.request.Cookie(c.session.server.opt.SessionCookie)
	if err != nil {
		return ""
	}
	return k.Value
}

// Agent is the client's user agent, parsed at each call. It is what the client
// says of itself.
func (c *Client) Agent() *useragent.UserAgent {
	return useragent.New(c.session.request.UserAgent())
}

// Request is the request that the session began with, without its body and
// context. Do not change it.
func (c *Client) Request() *http.Request { return c.session.request }

// Auth is what an ape.1 client's hello carried, nil for nothing and for classic
// clients.
func (c *Client) Auth() json.RawMessage { return c.session.auth }

// Context is the context that OnConnect returned. It ends with the session;
// context.Cause then gives the *CloseError.
func (c *Client) Context() context.Context { return c.session.values }

// Transport tells how the client is connected now.
func (c *Client) Transport() Transport { return c.session.transport() }

// Attached reports whether the client has a connection now.
func (c *Client) Attached() bool { return c.session.transport() != Detached }

// Dialect is how the client's messages look on the wire: "ape.1" or "classic".
func (c *Client) Dialect() string { return c.session.dialect.name() }

// Send queues an event for the client and does not wait for it. Events reach a
// client in the order in which they were sent. It returns ErrGone when the
// session has ended, an *Error of code too_large when the client cannot take a
// message of that size, and an error when data cannot be encoded.
func (c *Client) Send(event string, data any) error {
	p, err := newPush(pushEvent, event, data)
	if err != nil {
		return err
	}
	return c.session.send(p)
}

// Subscribe makes the client a subscriber of channel without asking
// Options.AuthorizeSubscribe. The channel's last value, if any, is sent to it.
// It returns ErrGone when the session has ended, and an *Error of code busy above
// Options.MaxSubscriptions.
func (c *Client) Subscribe(channel string) error {
	channel = trimSlash(channel)
	if err := checkName(channel); err != nil {
		return err
	}
	return c.session.server.hub.subscribe(c.session, channel, byServer, nil, true)
}

// Unsubscribe ends the client's subscription of channel, whoever made it, and
// tells an ape.1 client so. Without a subscription nothing happens.
func (c *Client) Unsubscribe(channel string) {
	channel = trimSlash(channel)
	c.session.server.hub.unsubscribe(c.session, channel, byServer|byClient, func() { c.session.subscriptionEnded(channel) })
}

// Close ends the client's session: what is queued is still sent, then the
// connection is closed with code. CloseKicked keeps ape clients away until their
// application connects again, CloseEnded makes them open a new session. A
// controller that closes its caller and wants its answer to come first calls
// Close in a func that it gives to context.AfterFunc, with its own context.
func (c *Client) Close(code CloseCode, reason string) {
	c.session.end(&CloseError{Code: code, Reason: reason}, false)
}

func (c *Client) target() (*peer, error) {
	if c.session.over.Load() {
		return nil, ErrGone
	}
	return &c.session.peer, nil
}

// Reconnect asks an ape.1 client to resume its session over a new connection, at
// a random moment before within has passed; until then the old one works on.
// What is left of it is closed 5 s later. A detached client, and a classic one,
// which cannot be asked, are left alone.
func (c *Client) Reconnect(within time.Duration) { c.session.reconnect(within) }
