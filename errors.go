package ape

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goape/ape/internal/line"
)

// Code says in one word what kind of failure an [Error] is. Applications add
// codes of their own: lower-case letters, digits, dots and underscores, a letter
// first, at most 64 bytes.
type Code string

// The codes that ape itself answers with. In the first group the call did not
// run; Internal stands for every error that is not meant for the client.
const (
	Malformed   Code = "malformed"   // the message could not be read
	Unsupported Code = "unsupported" // an operation that this end does not know
	TooLarge    Code = "too_large"   // the message, or its answer, is above the limit
	Busy        Code = "busy"        // a rate or a number of calls is above its limit; Data has retryAfter in ms
	Unavailable Code = "unavailable" // the server is shutting down, or full

	NotFound        Code = "not_found"
	Invalid         Code = "invalid" // the input does not fit the controller
	Denied          Code = "denied"
	Unauthenticated Code = "unauthenticated"
	Conflict        Code = "conflict"
	Exists          Code = "exists"
	Failed          Code = "failed"

	Cancelled Code = "cancelled" // by the caller
	Deadline  Code = "deadline"  // the call's time was up
	Internal  Code = "internal"

	Credit   Code = "credit"   // a stream's item came for which no credit was given
	Lost     Code = "lost"     // the session ended before the answer; it may have run
	Closed   Code = "closed"   // the session is over; it did not run
	Overflow Code = "overflow" // too much waits for a connection; it did not run
)

// Error is an error whose text and data may be shown to a client. Controllers
// return it, directly or wrapped; every other error reaches the client as code
// internal without its text.
type Error struct {
	Code    Code
	Message string
	// Data is encoded by the codec and sent beside the message. Nil: nothing.
	Data any
}

// Errorf returns an *Error with a message formatted as by [fmt.Sprintf].
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns "code: message".
func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Message
}

// Is reports whether target is an *Error of the same code and no message, so
// that errors.Is(err, &ape.Error{Code: ape.NotFound}) asks for the code alone.
// An error of code deadline is also context.DeadlineExceeded, one of code
// cancelled context.Canceled.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == Deadline
	case context.Canceled:
		return e.Code == Cancelled
	}
	t, ok := target.(*Error)
	return ok && t != ErrNoTarget && t != ErrGone && e != ErrNoTarget && e != ErrGone && t.Code == e.Code && t.Message == ""
}

// CodeOf returns the code of the *Error in err's chain, "" for nil and
// Internal for an error that holds none.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// ErrNoTarget says that a client never existed here, ErrGone that its session
// has ended. Both are compared by identity, so that a peer's own answer
// not_found is not taken for a missing peer.
var (
	ErrNoTarget = &Error{Code: NotFound, Message: "no such client"}
	ErrGone     = &Error{Code: Closed, Message: "the client's session has ended"}
)

// CloseCode is the WebSocket close code with which a connection ends. Of
// 4000 to 4099 an ape client resumes its session, of 4100 to 4199 it opens a
// new one, of 4200 to 4999 it stays away until its application connects again.
type CloseCode int

// The close codes that ape uses.
const (
	CloseRestart     CloseCode = 4000
	CloseIdle        CloseCode = 4001
	CloseStale       CloseCode = 4002
	CloseUnavailable CloseCode = 4003
	CloseLimit       CloseCode = 4004
	CloseTorn        CloseCode = 4005
	CloseReplaced    CloseCode = 4100
	CloseSlow        CloseCode = 4101
	CloseEnded       CloseCode = 4102
	CloseHello       CloseCode = 4200
	CloseDenied      CloseCode = 4201
	CloseVersion     CloseCode = 4202
	CloseKicked      CloseCode = 4203

	closeNormal   CloseCode = 1000
	closeAway     CloseCode = 1001
	closeUTF8     CloseCode = 1007
	closeTooBig   CloseCode = 1009
	closeInternal CloseCode = 1011
	closeAbnormal CloseCode = 1006
)

var closeNames = map[CloseCode]string{
	CloseRestart: "restart", CloseIdle: "idle", CloseStale: "stale", CloseUnavailable: "unavailable",
	CloseLimit: "limit", CloseTorn: "torn", CloseReplaced: "replaced", CloseSlow: "slow", CloseEnded: "ended",
	CloseHello: "hello", CloseDenied: "denied", CloseVersion: "version", CloseKicked: "kicked",
	closeNormal: "bye", closeAway: "away", closeUTF8: "utf8", closeTooBig: "too_big", closeInternal: "internal", closeAbnormal: "lost",
}

// String returns the code's name in the protocol, such as "kicked".
func (c CloseCode) String() string {
	if s, ok := closeNames[c]; ok {
		return s
	}
	return fmt.Sprintf("closed.%d", int(c))
}

// then says what an ape.1 client does after the code.
func (c CloseCode) then() string {
	switch {
	case c >= 4200 || c == closeNormal:
		return "final"
	case c >= 4100 || c == closeUTF8 || c == closeTooBig:
		return "new"
	}
	return "resume"
}

// CloseError says why a session ended. OnDisconnect gets it, and
// context.Cause returns it for the contexts that the session's end cancels.
type CloseError struct {
	Code   CloseCode
	Reason string
}

// Error returns the code's name and the reason.
func (e *CloseError) Error() string {
	if e.Reason == "" {
		return "ape: session ended: " + e.Code.String()
	}
	return "ape: session ended: " + e.Code.String() + ": " + e.Reason
}

// Is makes errors.Is(cause, ErrGone) true for the end of a session.
func (e *CloseError) Is(target error) bool { return target == ErrGone }

// busy is the answer above a limit, with the time after which to try again.
func busy(after time.Duration, format string, args ...any) *Error {
	e := Errorf(Busy, format, args...)
	e.Data = retryAfter{max(1, after.Milliseconds())}
	return e
}

type retryAfter struct {
	RetryAfter int64 `json:"retryAfter"`
}

// quitLine returns the q line of a close code.
func quitLine(code CloseCode, message string) []byte {
	return line.AppendQuit(nil, code.String(), code.then(), 0, message)
}
