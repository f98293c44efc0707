package link

import (
	"context"
	"errors"

	"github.com/goape/ape/mesh"
)

// What the methods of a Link return, beside what the store says. A link whose
// id was taken by another process returns mesh.ErrSuperseded.
var (
	ErrPeerGone = errors.New("link: the member is not in the mesh (any more)")
	ErrBacklog  = errors.New("link: too much waits for this target; send less, or wait and try again")
	ErrTooLarge = errors.New("link: the message is above 16 MiB; send it in parts")
	ErrDetached = errors.New("link: the store has not been reachable for a minute; nothing is accepted until it is")
	ErrNoTarget = errors.New("link: no member has this client")
	ErrBusy     = errors.New("link: too many requests of this server run at the member; try again later")
	ErrClosed   = errors.New("link: this server has left the mesh")
	errOp       = errors.New("link: Send and SendAll take OpPublish, OpSession and OpWatch")
)

// Failure is the error of a request handler, as it reaches the caller. A
// handler's error of another type arrives as a Failure with its text.
type Failure struct {
	Code    string
	Message string
	Data    []byte
}

func (f *Failure) Error() string {
	if f.Code == "" {
		return f.Message
	}
	return f.Code + ": " + f.Message
}

// The code of a reply.
const (
	codeOK byte = iota
	codeFailed
	codeNoTarget
	codeDeadline
	codeCanceled
	codeBusy
)

// codeOf returns the code of an outcome and the body that goes with it.
func codeOf(result []byte, err error) (byte, []byte) {
	switch {
	case err == nil:
		return codeOK, result
	case errors.Is(err, ErrNoTarget):
		return codeNoTarget, nil
	case errors.Is(err, ErrBusy):
		return codeBusy, nil
	case errors.Is(err, context.DeadlineExceeded):
		return codeDeadline, nil
	case errors.Is(err, context.Canceled):
		return codeCanceled, nil
	}
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		f = &Failure{Message: err.Error()}
	}
	return codeFailed, appendFailure(nil, f)
}

// outcome is the reverse of codeOf.
func outcome(code byte, body []byte) ([]byte, error) {
	switch code {
	case codeOK:
		return body, nil
	case codeNoTarget:
		return nil, ErrNoTarget
	case codeBusy:
		return nil, ErrBusy
	case codeDeadline:
		return nil, context.DeadlineExceeded
	case codeCanceled:
		return nil, context.Canceled
	}
	f, ok := parseFailure(body)
	if !ok {
		f = &Failure{Message: "the member answered what this server cannot read"}
	}
	return nil, f
}

// ended says why the membership is over; l.mu is not held.
func (l *Link) ended() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.superseded {
		return mesh.ErrSuperseded
	}
	return ErrClosed
}

var errNoKey = errors.New("the backend's Join returned no key, though one was proposed")

var errRows = errors.New("link: the backend's Read returned another number of owners than it was asked for")
