package mesh

import (
	"errors"
	"fmt"
)

var (
	// ErrLapsed is returned by Renew when the lease is over: join again with the
	// next term.
	ErrLapsed = errors.New("mesh: the lease has lapsed")

	// ErrSuperseded is returned by Join and Renew when another life has taken the
	// member's ID: two processes use the same one.
	ErrSuperseded = errors.New("mesh: another process has joined under this member's ID; give each its own")

	// ErrInterrupted is returned by Receive after a lost connection. Frames may be
	// missing; the Inbox goes on.
	ErrInterrupted = errors.New("mesh: the inbox was interrupted, frames may be missing")

	// ErrClosed is returned by Receive after Close.
	ErrClosed = errors.New("mesh: the inbox is closed")

	// ErrTooLarge is wrapped by what Push returns for a frame above
	// Traits.MaxFrame.
	ErrTooLarge = errors.New("mesh: too large")
)

// UnheardError is returned by Push when everything was carried, but nobody
// listens at some of the members.
type UnheardError struct {
	To []string // their IDs
}

func (e *UnheardError) Error() string {
	return fmt.Sprintf("mesh: nobody listens at %q", e.To)
}
