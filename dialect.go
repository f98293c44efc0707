package ape

import (
	"time"

	"github.com/goape/ape/internal/transport"
)

// dialect is how a session's messages look on the wire. There are two:
// lineWire for ape.1, classicWire for api-ape's browsers. Each is stateless.
type dialect interface {
	// name is "ape.1" or "classic".
	name() string
	// frame is an event or channel message; last marks a channel's last value.
	frame(p *push, last bool) (transport.Frame, error)
	// answer is the one answer of a call: a result, or fail. What cannot be
	// encoded or is too large for the client becomes a failure, which is
	// returned.
	answer(c *Call, result any, fail *Error) (transport.Frame, *Error)
	// ended tells that the server has ended a subscription, if the dialect can.
	ended(channel string, why *Error) (transport.Frame, bool)
	// linger is how long a session outlives its connection.
	linger(o *Options) time.Duration
}
