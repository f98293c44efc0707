package transport

import (
	"errors"
	"fmt"
)

var (
	// ErrFull is returned by [Outbox.Append] when the frames that wait to be
	// written would exceed the outbox's limit: the peer is too slow.
	ErrFull = errors.New("transport: the outbox is full: the peer reads too slowly or is away")

	// ErrEnded is returned for an [Outbox] that has ended, and by the message
	// of a [Socket] whose Writer was ended: what arrives from then on does
	// not count.
	ErrEnded = errors.New("transport: ended")

	// ErrWithdrawn is returned by [Outbox.AppendWait] when its frame was taken
	// back before there was room for it.
	ErrWithdrawn = errors.New("transport: withdrawn")

	// ErrIdle is returned by [Socket.Next] when SocketOptions.Idle has passed
	// without one byte from the peer. The connection can still be ended in
	// good form, by [Writer.End] and [Socket.Finish].
	ErrIdle = errors.New("transport: nothing heard from the peer for too long")

	// ErrLost is returned by [Socket.Next] when the connection ended without
	// a close frame, or with one that was not answered in time.
	ErrLost = errors.New("transport: connection lost")

	// ErrProtocol is returned by [Socket.Next] for frames that RFC 6455
	// forbids. The close frame, 1002, is on its way already.
	ErrProtocol = errors.New("transport: the peer broke the WebSocket protocol")

	// ErrUTF8 is returned while reading a text message that is not UTF-8. The
	// close code for it is 1007.
	ErrUTF8 = errors.New("transport: text message is not UTF-8")

	// ErrTooBig is for whoever reads a [Socket]'s message and finds it above
	// the limit; the package has none of its own.
	ErrTooBig = errors.New("transport: message is above the hard limit")
)

// CloseError is returned by [Socket.Next] when the peer sent a close frame.
type CloseError struct {
	Code int // 1005 if the frame had none
}

// Error says the code.
func (e *CloseError) Error() string {
	return fmt.Sprintf("transport: closed by the peer with code %d", e.Code)
}
