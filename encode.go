package ape

import (
	"fmt"
	"runtime/debug"

	"github.com/goape/ape/codec"
)

// Encoding runs methods of the program's own types (MarshalJSON, Error), on the
// goroutines of calls. Their panics become errors here.

// appendValue appends v as JSON text.
func appendValue(dst []byte, v any) (b []byte, err error) {
	defer encodingPanic(dst, &b, &err)
	return codec.Append(dst, v)
}

// appendClassicMember appends the member data of a classic message, with nested
// arrays as the classic clients can read them.
func appendClassicMember(dst []byte, v any) (b []byte, err error) {
	defer encodingPanic(dst, &b, &err)
	return codec.Options{HoistArrays: true}.AppendMember(dst, "data", v)
}

// errorData is an error's data as JSON text, nil when there is none or it
// cannot be encoded.
func errorData(e *Error) []byte {
	if e.Data == nil {
		return nil
	}
	b, err := appendValue(nil, e.Data)
	if err != nil {
		return nil
	}
	return b
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
