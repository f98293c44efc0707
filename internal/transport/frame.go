package transport

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10

	maxHeader = 10       // bytes of a server's frame header
	maxJoin   = 16 << 10 // bytes of lines joined into one WebSocket message
	maxWrite  = 64 << 10 // bytes handed to a Sink at a time
	slot      = 32       // bytes of a Frame itself, which count too: many small ones must not be for free
)

// Form says what frames look like on a connection.
type Form uint8

const (
	// SocketLines: WebSocket, each frame a line. Lines are joined into text
	// messages of at most 16 KiB; a longer line and a binary frame are
	// messages of their own.
	SocketLines Form = iota
	// SocketMessages: WebSocket, each frame a message of its own; several
	// still leave in one write.
	SocketMessages
	// DialLines: lines for the text messages of a dialled WebSocket, whose Sink
	// adds the frame headers and the mask; see the package's documentation. A
	// write holds lines of together at most 16 KiB, or a longer one alone; a
	// binary frame becomes its line with base64 in place of the size and the
	// octets.
	DialLines
	// StreamLines: an HTTP body of lines, the bodies of POSTs too. A write
	// holds lines of together at most 64 KiB, or a longer one alone; a binary
	// frame becomes a line as with DialLines.
	StreamLines
	// StreamEvents: an HTTP body of server-sent events, each frame a "data: "
	// of its own.
	StreamEvents
	// StreamMessages: an HTTP body of JSON texts, a line feed behind each.
	StreamMessages
)

// Frame is one encoded outgoing message with its WebSocket header. It never
// changes, and may stand in any number of outboxes at the same time.
type Frame struct {
	data   []byte // header and payload, as a WebSocket carries them
	octets uint32 // binary: raw bytes at the end of the payload
	head   uint8  // length of the header
	binary bool
}

// Begin returns dst's storage, emptied, with room for a frame header. Append
// the payload and hand the result to [Text] or [Binary].
func Begin(dst []byte) []byte {
	return append(dst[:0], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

// Text makes a text frame of what was appended to [Begin]: a line with its
// line feed, or for the Messages and Events forms one JSON text. The frame
// keeps buf, which must not be written to afterwards.
func Text(buf []byte) Frame {
	data, head := seal(buf, opText)
	return Frame{data: data, head: head}
}

// Binary makes a binary frame of what was appended to [Begin]: a line that
// ends in "=size" and a line feed, then that many octets. The frame keeps buf.
func Binary(buf []byte, octets int) Frame {
	if octets < 0 || octets > len(buf)-maxHeader {
		panic("transport: Binary: more octets than bytes were appended")
	}
	data, head := seal(buf, opBinary)
	return Frame{data: data, head: head, octets: uint32(octets), binary: true}
}

// Size is the number of bytes that the frame counts for in an outbox: those of
// a WebSocket frame, and 32 for its place.
func (f Frame) Size() int { return len(f.data) + slot }

// Payload is the frame without its header. It must not be changed.
func (f Frame) Payload() []byte { return f.data[f.head:] }

// Octets is how many raw bytes stand at the end of the payload; -1 for a text
// frame.
func (f Frame) Octets() int {
	if !f.binary {
		return -1
	}
	return int(f.octets)
}

// join is how many bytes of frames are joined into one write.
func (form Form) join() int {
	if form == DialLines {
		return maxJoin
	}
	return maxWrite
}

// cut returns how many bytes of p are handed to a Sink next: at most 64 KiB.
// Lines are cut behind a line feed, and one that is longer than a join leaves
// without others; inside tells that p begins inside such a line.
func (form Form) cut(p []byte, inside bool) int {
	short, most := min(len(p), form.join()), min(len(p), maxWrite)
	if form != DialLines && form != StreamLines {
		return most
	}
	if !inside {
		if n := bytes.LastIndexByte(p[:short], '\n') + 1; n > 0 {
			return n
		}
	}
	if n := bytes.IndexByte(p[:most], '\n') + 1; n > 0 {
		return n
	}
	return most
}

// size is the number of bytes of f on a connection of this form.
func (form Form) size(f Frame) int {
	if form <= SocketMessages {
		return len(f.data)
	}
	n := len(f.data) - int(f.octets) + base64.StdEncoding.EncodedLen(int(f.octets))
	return n + len("data: \n\n") // enough
}

// whole returns the bytes of f on a connection of this form if they stand in
// f as they are, else nil.
func (form Form) whole(f Frame) []byte {
	switch {
	case form <= SocketMessages:
		return f.data
	case (form == DialLines || form == StreamLines) && !f.binary:
		return f.Payload()
	}
	return nil
}

// append appends f as a connection of this form carries it.
func (form Form) append(dst []byte, f Frame) []byte {
	if whole := form.whole(f); whole != nil {
		return append(dst, whole...)
	}
	line, octets := f.Payload(), []byte(nil)
	if f.binary {
		line, octets = line[:len(line)-int(f.octets)], line[len(line)-int(f.octets):]
		line = line[:bytes.LastIndexByte(line, '=')+1]
	}
	line = bytes.TrimSuffix(line, []byte{'\n'})
	if form != StreamEvents {
		dst = base64.StdEncoding.AppendEncode(append(dst, line...), octets)
		return append(dst, '\n')
	}
	dst = append(append(dst, "data: "...), line...)
	dst = base64.StdEncoding.AppendEncode(dst, octets)
	return append(dst, "\n\n"...)
}

// seal writes the header of the payload behind Begin's room, right before it.
func seal(buf []byte, op byte) (data []byte, head uint8) {
	if len(buf) < maxHeader {
		panic("transport: a frame is made of a buffer from Begin")
	}
	var h [maxHeader]byte
	n := len(appendHeader(h[:0], op, len(buf)-maxHeader))
	data = buf[maxHeader-n:]
	copy(data, h[:n])
	return data, uint8(n)
}

// appendHeader appends the header of an unmasked, final frame.
func appendHeader(dst []byte, op byte, n int) []byte {
	dst = append(dst, 0x80|op)
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n < 1<<16:
		return append(dst, 126, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
}

// appendFrame appends a whole frame.
func appendFrame(dst []byte, op byte, payload []byte) []byte {
	return append(appendHeader(dst, op, len(payload)), payload...)
}
