// Package classic is the grammar of the classic dialect: the messages that unmodified api-ape clients 2.3.0 and 4.1.1
// send and read, one JSON document each, in a WebSocket text message or in a POST.
//
//	var m classic.Message
//	if err := classic.Scan(doc, &m); err != nil {
//		return classic.AppendError(nil, classic.QueryID(doc), "malformed", err.Error(), nil)
//	}
//	call(classic.Bare(m.Type), m.Data, m.Tag)
//
// A client finds the call that a reply belongs to by the hash of the exact text it sent: [QueryID], or a [Hasher] for
// text that is too long to keep.
//
// What the server sends is appended in parts, since the value is written by an encoder that may put a type tag on the
// member's key: a head, a comma, the member data, and a brace.
//
//	dst = classic.AppendReply(dst, id)         // {"type":false,"queryId":"3XVG6CX"
//	dst = append(dst, ',')
//	dst, err = codec.AppendMember(dst, "data", v)
//	dst = append(dst, '}')
//
// Without a value the brace follows the head at once; the client's call then resolves with undefined.
//
// The functions keep no state and may be used from many goroutines at once; a Hasher is for one.
package classic
