package line

import (
	"errors"
	"io"
)

// DefaultLimit is the longest line that a [Splitter] with no Limit hands out whole, in bytes.
const DefaultLimit = 1 << 20

// HeadSize is how much of the head is kept of a line that is too long, in bytes.
const HeadSize = 256

var (
	// ErrTorn says that the input ended in the middle of a unit. That unit does not exist: it was neither handed on
	// nor is it counted.
	ErrTorn = errors.New("line: input ends in the middle of a line")

	// ErrTooLong says that a unit is longer than the Hard limit of its Splitter.
	ErrTooLong = errors.New("line: line above the hard limit")

	// ErrUTF8 says that a line is not UTF-8.
	ErrUTF8 = errors.New("line: line is not UTF-8")
)

// Splitter cuts messages, bodies and streams into units. The zero value works. It holds no state: one Splitter may
// serve many goroutines, as long as nobody changes its fields meanwhile.
type Splitter struct {
	// Limit is the length in bytes, of a line or of a line with its octets, up to which a unit is handed out whole.
	// The content of a longer one is discarded while it is read; it is still handed on, and so still counted.
	// 0 is DefaultLimit.
	Limit int

	// Hard is the length above which Split gives up with ErrTooLong. 0 is 16 times Limit.
	Hard int
}

// Unit is one line that is not empty, with the octets that belong to it.
type Unit struct {
	Head   []byte // without LF; only the first HeadSize bytes if Long
	Octets []byte // not nil when Head announces octets, even none; nil if Long
	Binary bool   // it came in a binary message
	Size   int    // bytes of the whole line, without LF, and of its octets
	Long   bool   // Size is above the limit, the content was discarded
}

// Split reads r to its end and hands on each unit as soon as it is whole. binary says that r is a binary message, in
// which lines may announce octets. What handle gets is valid until it returns.
//
// Split returns nil when r ended with [io.EOF] behind a whole unit, [ErrTorn] when it ended elsewhere, [ErrTooLong],
// [ErrUTF8], the error of handle, at once, or another error of r, after the units that it had made whole. It takes
// memory for one unit, as its bytes come in, not as they are announced.
func (s *Splitter) Split(r io.Reader, binary bool, handle func(Unit) error) error {
	c := cutters.Get().(*cutter)
	defer c.free()
	*c = cutter{limit: s.Limit, hard: s.Hard, binary: binary, buf: c.buf}
	if c.limit == 0 {
		c.limit = DefaultLimit
	}
	if c.hard == 0 {
		c.hard = 16 * c.limit
	}
	for idle := 0; ; {
		n, readErr := r.Read(c.room())
		c.end += n
		for {
			u, ok, err := c.next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if err := handle(u); err != nil {
				return err
			}
		}
		switch {
		case readErr == io.EOF && c.inside():
			return ErrTorn
		case readErr == io.EOF:
			return nil
		case readErr != nil:
			return readErr
		case n > 0:
			idle = 0
		default:
			if idle++; idle == maxIdleReads {
				return io.ErrNoProgress
			}
		}
	}
}

const maxIdleReads = 100 // as bufio
