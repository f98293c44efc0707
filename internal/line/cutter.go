package line

import (
	"bytes"
	"sync"
	"unicode/utf8"
)

const (
	firstBuffer = 4 << 10
	maxPooled   = 64 << 10 // a bigger buffer was for one long line and is not kept
)

var cutters = sync.Pool{New: func() any { return &cutter{buf: make([]byte, firstBuffer)} }}

// tailSize is how much of the end of a long line is held back, so that the size of octets can be read from it.
const tailSize = 32

// cutter finds units in a window over the input, buf[start:end]. It is in one of four states: looking for the end of
// a head; waiting for the octets behind one (headEnd is set); discarding a long head (long); or discarding what
// follows one (done).
type cutter struct {
	limit, hard int
	binary      bool

	buf        []byte
	start, end int
	scanned    int // no LF in buf[start:scanned]

	headEnd int // where the head ends whose octets are awaited; 0: not in that state
	octets  int // how many

	long   bool // the unit is above the limit
	done   bool // its head is over, and skip octets are still to come
	size   int  // its length so far, or with done altogether
	spaces int  // in its head so far
	skip   int
	kept   [HeadSize]byte
	keep   int
}

// free gives the cutter and its window back for the next input.
func (c *cutter) free() {
	if len(c.buf) <= maxPooled {
		cutters.Put(c)
	}
}

// inside reports whether the input so far ends in the middle of a unit.
func (c *cutter) inside() bool { return c.start < c.end || c.long }

// room is where to read on. It moves or grows the window such that each byte is copied a bounded number of times.
func (c *cutter) room() []byte {
	if c.start == c.end {
		c.start, c.end, c.scanned = 0, 0, 0
	}
	if c.end < len(c.buf) {
		return c.buf[c.end:]
	}
	from := c.buf
	if c.start < len(c.buf)/2 {
		c.buf = make([]byte, 2*len(c.buf))
	}
	copy(c.buf, from[c.start:c.end])
	c.end -= c.start
	c.scanned -= c.start
	c.headEnd = max(0, c.headEnd-c.start)
	c.start = 0
	return c.buf[c.end:]
}

// next cuts one unit off the window; ok is false when it needs more input.
func (c *cutter) next() (u Unit, ok bool, err error) {
	for {
		switch {
		case c.done:
			return c.discardOctets()
		case c.long:
			if ok, err := c.discardHead(); !ok {
				return Unit{}, false, err
			}
		case c.headEnd > 0:
			u, ok := c.withOctets()
			return u, ok, nil
		default:
			u, ok, err := c.head()
			if ok || err != nil || !c.long && c.headEnd == 0 {
				return u, ok, err
			}
		}
	}
}

// head looks for the end of the next line. A line with octets, or a long one, only changes the state.
func (c *cutter) head() (u Unit, ok bool, err error) {
	for {
		i := bytes.IndexByte(c.buf[c.scanned:c.end], '\n')
		if i < 0 {
			c.scanned = c.end
			if c.end-c.start > c.limit {
				c.beginLong()
			}
			return Unit{}, false, nil
		}
		if i > 0 || c.scanned > c.start {
			c.scanned += i
			break
		}
		c.start++ // an empty line
		c.scanned = c.start
	}
	at := c.scanned
	head := c.buf[c.start:at:at]
	if len(head) > c.limit {
		c.beginLong()
		return Unit{}, false, nil
	}
	if !utf8.Valid(head) {
		return Unit{}, false, ErrUTF8
	}
	if c.binary {
		n, has, err := octetsOf(head, OpOf(head), 0, c.hard-len(head))
		if err != nil {
			return Unit{}, false, err
		}
		if has && len(head)+n > c.limit {
			c.beginLong()
			return Unit{}, false, nil
		}
		if has {
			c.headEnd, c.octets = at, n
			return Unit{}, false, nil
		}
	}
	c.advance(at + 1)
	return Unit{Head: head, Binary: c.binary, Size: len(head)}, true, nil
}

// withOctets hands out the line at hand once its octets are all there.
func (c *cutter) withOctets() (Unit, bool) {
	from, to := c.headEnd+1, c.headEnd+1+c.octets
	if to > c.end {
		return Unit{}, false
	}
	head := c.buf[c.start:c.headEnd:c.headEnd]
	c.headEnd = 0
	c.advance(to)
	return Unit{Head: head, Octets: c.buf[from:to:to], Binary: true, Size: len(head) + to - from}, true
}

// beginLong goes over to discarding.
func (c *cutter) beginLong() { c.long, c.size, c.spaces, c.keep = true, 0, 0, 0 }

// discardHead drops what is there of a long head, except its tail, until the head is over.
func (c *cutter) discardHead() (over bool, err error) {
	i := bytes.IndexByte(c.buf[c.scanned:c.end], '\n')
	cut := c.scanned + i
	if i < 0 {
		c.scanned = c.end
		cut = c.end - tailSize
		for back := 0; cut > c.start && !utf8.RuneStart(c.buf[cut]) && back < utf8.UTFMax; back++ {
			cut--
		}
		if c.size+c.end-c.start > c.hard {
			return false, ErrTooLong
		}
		if cut <= c.start {
			return false, nil
		}
	}
	part := c.buf[c.start:cut]
	if !utf8.Valid(part) {
		return false, ErrUTF8
	}
	c.keep += copy(c.kept[c.keep:], part)
	c.size += len(part)
	if c.size > c.hard {
		return false, ErrTooLong
	}
	if i < 0 {
		c.spaces += bytes.Count(part, space)
		c.start = cut
		return false, nil
	}
	if c.binary {
		n, _, err := octetsOf(part, OpOf(c.kept[:c.keep]), c.spaces, c.hard-c.size)
		if err != nil {
			return false, err
		}
		c.skip = n
		c.size += n
	}
	c.advance(cut + 1)
	c.done = true
	return true, nil
}

// discardOctets drops the octets of a long unit and then hands out what was kept of it.
func (c *cutter) discardOctets() (u Unit, ok bool, err error) {
	n := min(c.skip, c.end-c.start)
	c.skip -= n
	c.advance(c.start + n)
	if c.skip > 0 {
		return Unit{}, false, nil
	}
	c.long, c.done = false, false
	return Unit{Head: c.kept[:c.keep:c.keep], Binary: c.binary, Size: c.size, Long: true}, true, nil
}

func (c *cutter) advance(to int) { c.start, c.scanned = to, to }

var space = []byte{' '}

// octetsOf reads how many octets follow a line of a binary message. tail is the end of the line, or all of it; spaces
// is how many spaces stood before that. Octets follow when the last word is "=" and a number, and stands where the
// payload of the op stands; with an unknown op, anywhere behind it. JSON never ends in such a word, so a receiver
// finds the end of ops that it does not know. A number above most is ErrTooLong.
func octetsOf(tail []byte, op Op, spaces, most int) (n int, has bool, err error) {
	if len(tail) == 0 || tail[len(tail)-1]-'0' > 9 {
		return 0, false, nil
	}
	i := bytes.LastIndexByte(tail, ' ')
	if i < 0 || tail[i+1] != '=' {
		return 0, false, nil
	}
	size, end, ok := number(tail, i+2)
	if !ok || end != len(tail) {
		return 0, false, nil
	}
	if op != 0 && spaces+bytes.Count(tail, space) != shapes[op].fields()+1 {
		return 0, false, nil
	}
	if size > uint64(most) {
		return 0, false, ErrTooLong
	}
	return int(size), true, nil
}
