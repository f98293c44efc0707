package ape

// State is how a Conn stands.
type State string

// The states of a Conn.
const (
	StateConnecting   State = "connecting"   // it looks for the server
	StateConnected    State = "connected"    // the session has a connection
	StateDisconnected State = "disconnected" // it has none, and waits before it tries again
	StateClosed       State = "closed"       // for good
)

// StateChange is what DialOptions.OnState gets.
type StateChange struct {
	State     State
	Transport Transport // of StateConnected

	// Of StateConnected behind another connection, whether that was lost or is left
	// for a better one: either Resumed, and Recovered lines of the server came that
	// had been missed; or a Gap, which says why the session could not go on
	// (unknown, mismatch, overflow, or the code of its end). Then Lost are
	// the calls that failed with lost, which may have run or not, subscriptions are
	// renewed, and messages that were published meanwhile are missing.
	Resumed   bool
	Recovered int
	Gap       string
	Lost      []LostCall

	// Of StateDisconnected and StateClosed: why, as a code of the protocol, and what
	// it was in Go.
	Code string
	Err  error
}

// LostCall is a call that was under way when its session was lost.
type LostCall struct {
	Path string
	Key  string // of Key, "" for none
}

// mostTold is how many changes may wait for OnState.
const mostTold = 64

// State is how the Conn stands now.
func (c *Conn) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// change notes a state and tells OnState of it. mu is held.
func (c *Conn) change(s StateChange) {
	if s.State == c.state && s.State != StateConnected {
		return
	}
	c.state = s.State
	if c.opt.OnState == nil {
		return
	}
	if len(c.told) >= mostTold {
		c.told = c.told[1:]
	}
	c.told = append(c.told, s)
	if !c.telling {
		c.telling = c.own.spawn(c.tellStates)
	}
}

// tellStates calls OnState until nothing is left to tell.
func (c *Conn) tellStates() {
	for {
		c.mu.Lock()
		if len(c.told) == 0 {
			c.told, c.telling = nil, false
			c.mu.Unlock()
			return
		}
		next := c.told[0]
		c.told = c.told[1:]
		c.mu.Unlock()
		c.own.guard("OnState", func() { c.opt.OnState(next) })
	}
}
