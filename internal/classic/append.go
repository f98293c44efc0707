package classic

import "github.com/goape/ape/internal/line"

// Heartbeat is a message that the clients drop unseen. It keeps a stream of bare JSON alive.
const Heartbeat = `{"type":"__heartbeat__"}`

// AppendReply begins the reply to a call. A comma and the member data may follow; a brace ends it.
func AppendReply(dst []byte, queryID string) []byte {
	return line.AppendString(append(dst, `{"type":false,"queryId":`...), queryID)
}

// AppendError writes a whole reply that says that a call failed. The text stands in two members, since the clients read
// err in a WebSocket message and error in the body of a POST; it must not be empty, so the code stands in where there is
// no message. data is JSON; nil leaves it out, and so does an empty queryID.
func AppendError(dst []byte, queryID, code, message string, data []byte) []byte {
	if message == "" {
		message = code
	}
	dst = line.AppendString(append(dst, `{"err":`...), message)
	dst = line.AppendString(append(dst, `,"error":`...), message)
	dst = line.AppendString(append(dst, `,"code":`...), code)
	if data != nil {
		dst = append(append(dst, `,"data":`...), data...)
	}
	dst = append(dst, `,"type":false`...)
	if queryID != "" {
		dst = line.AppendString(append(dst, `,"queryId":`...), queryID)
	}
	return append(dst, '}')
}

// AppendEvent begins an event under the very name that it is given. A comma and the member data may follow; a brace ends
// it.
func AppendEvent(dst []byte, name string) []byte {
	dst = line.AppendString(append(dst, `{"type":`...), name)
	return append(dst, `,"queryId":false`...)
}

// AppendMessage begins a message of a channel. The clients subscribe to names with a leading slash, so it adds one to
// the bare name that it is given. A comma and the member data may follow; a brace ends it.
func AppendMessage(dst []byte, channel string) []byte {
	dst = append(dst, `{"type":`...)
	at := len(dst)
	dst = line.AppendString(append(dst, '/'), channel)
	dst[at], dst[at+1] = '"', '/' // the slash was written first: it and the quote change places
	return append(dst, `,"queryId":false`...)
}

// AppendConnected writes the first message of a connection.
func AppendConnected(dst []byte, clientID string) []byte {
	dst = line.AppendString(append(dst, `{"data":{"clientId":`...), clientID)
	return append(dst, `},"type":"__connected__","queryId":null}`...)
}

// Bare is a path, channel or event name as programs know it: without the one leading slash that the clients write.
func Bare[T ~string | ~[]byte](name T) T {
	if len(name) > 0 && name[0] == '/' {
		return name[1:]
	}
	return name
}
