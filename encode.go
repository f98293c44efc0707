package ape

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/goape/ape/codec"
)

// Encoding runs methods of the program's own types (MarshalJSON, Error), on the
// goroutines of calls. Their panics become errors here.

// appendValue appends v as JSON text of at most so many bytes; 0 is the codec's
// own limit. A value that repeats itself may be far longer than what it was
// read from, so answers are not written beyond what their client takes.
func appendValue(dst []byte, v any, most int) (b []byte, err error) {
	defer encodingPanic(dst, &b, &err)
	return codec.Options{MaxSize: most}.Append(dst, v)
}

// appendClassicMember appends the member data of a classic message, with nested
// arrays as the classic clients can read them.
func appendClassicMember(dst []byte, v any, most int) (b []byte, err error) {
	defer encodingPanic(dst, &b, &err)
	return codec.Options{HoistArrays: true, MaxSize: most}.AppendMember(dst, "data", v)
}

// errorData is an error's data as JSON text, nil when there is none or it
// cannot be encoded.
func errorData(e *Error) []byte {
	if e.Data == nil {
		return nil
	}
	b, err := appendValue(nil, e.Data, 0)
	if err != nil {
		return nil
	}
	return b
}

// misencoded is the failure of a call whose result could not be encoded.
func (c *Call) misencoded(err error) *Error {
	if errors.Is(err, codec.ErrTooLarge) {
		return Errorf(TooLarge, "the answer has more than the %d bytes that this client takes", c.peer.limit())
	}
	c.peer.engine.opt.Logger.Error("ape: a result cannot be encoded", "path", c.path, "err", err)
	return Errorf(Internal, "the result cannot be encoded")
}

// untold stands for an error that is above the client's limit.
func untold(e *Error) *Error {
	return &Error{Code: e.Code, Message: "the error is too large to be told"}
}

// encodingPanic is deferred around an encoding into dst.
func encodingPanic(dst []byte, b *[]byte, err *error) {
	if p := recover(); p != nil {
		*b, *err = dst, fmt.Errorf("panic while encoding: %v\n%s", p, debug.Stack())
	}
}
