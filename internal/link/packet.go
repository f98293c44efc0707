package link

import (
	"encoding/binary"
	"errors"
)

const wireVersion = 1

// Flags of a packet.
const (
	flagAll    = 1 // numbers belong to the sender's sequence to all
	flagTarget = 2 // the receiver's life follows
	flagAgain  = 4 // sent again
)

// Kinds of parts. Those below 0x80 are numbered.
const (
	kindMiddle  = 0x01
	kindLast    = 0x02
	kindFirst   = 0x03 // op, uvarint of the total, bytes
	kindMessage = 0x10 // + op: a whole message

	kindBeat     = 0x81
	kindPosition = 0x82
	kindNack     = 0x83
	kindGone     = 0x84
	kindProbe    = 0x85

	kindControl = 0x80
)

// maxNumber bounds what others may say of sequences, so that sums of numbers
// never overflow.
const maxNumber = 1 << 60

var (
	errPacket  = errors.New("link: malformed packet")
	errVersion = errors.New("link: a packet of another wire version")
)

// header begins every packet.
type header struct {
	flags  byte
	epoch  uint64
	id     []byte
	target uint64 // the receiver's life, with flagTarget
	stream uint64
	first  uint64 // number of the first numbered part; 0: there is none
}

// headerRoom is the size of the largest header of a member, and partRoom what a
// part adds to its body.
func headerRoom(id string) int {
	return macEnd + 8 + 1 + len(id) + 8 + 2*binary.MaxVarintLen64
}

const partRoom = 2*binary.MaxVarintLen64 + 2

func (h header) append(b []byte) []byte {
	var mac [macSize]byte
	b = append(b, wireVersion, h.flags)
	b = append(b, mac[:]...)
	b = binary.BigEndian.AppendUint64(b, h.epoch)
	b = append(b, byte(len(h.id)))
	b = append(b, h.id...)
	if h.flags&flagTarget != 0 {
		b = binary.BigEndian.AppendUint64(b, h.target)
	}
	b = binary.AppendUvarint(b, h.stream)
	return binary.AppendUvarint(b, h.first)
}

// parseHeader returns a packet's header, whose id lies in the packet, and its
// parts.
func parseHeader(b []byte) (h header, parts []byte, err error) {
	if len(b) < macEnd+9 {
		return h, nil, errPacket
	}
	if b[0] != wireVersion {
		return h, nil, errVersion
	}
	h.flags = b[1]
	h.epoch = binary.BigEndian.Uint64(b[macEnd:])
	n := int(b[macEnd+8])
	r := reader{b: b[macEnd+9:]}
	h.id = r.bytes(n)
	if h.flags&flagTarget != 0 {
		h.target = r.fixed()
	}
	h.stream, h.first = r.number(), r.number()
	if r.bad || n == 0 || n > 64 {
		return h, nil, errPacket
	}
	return h, r.b, nil
}

func appendPart(b []byte, kind byte, body []byte) []byte {
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}

// nextPart takes the next part off b. Its body lies in b and does not reach
// into what follows.
func nextPart(b []byte) (kind byte, body, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > uint64(len(b)-1-size) {
		return 0, nil, nil, false
	}
	body = b[1+size:]
	return b[0], body[:n:n], body[n:], true
}

// reader takes values off a body. It is bad for good once one is missing or out
// of range, and returns zeros from then on.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) fixed() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// number is one of a sequence.
func (r *reader) number() uint64 {
	v := r.uvarint()
	if v > maxNumber {
		r.bad = true
		return 0
	}
	return v
}

// text is a length and so many bytes.
func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	return string(r.bytes(int(n)))
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func flagOf(set bool, flag byte) byte {
	if set {
		return flag
	}
	return 0
}
