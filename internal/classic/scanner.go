package classic

import (
	"errors"
	"fmt"
)

// scanner walks over JSON text. It checks the grammar, keeps no values, and does not recurse: of the containers that
// are open it knows how many there are, and of each, in one bit, whether it is an object.
type scanner struct {
	doc     []byte
	at      int
	depth   int                   // open containers inside of the message
	objects [MaxDepth / 64]uint64 // one bit each
}

// wrong is the error for what stands at the current place.
func (s *scanner) wrong() error {
	if s.at >= len(s.doc) {
		return errors.New("message is not JSON: it ends too early")
	}
	return fmt.Errorf("message is not JSON at byte %d", s.at)
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.doc) {
		return s.doc[s.at]
	}
	return 0
}

// take steps over c, if it comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// space steps over white space.
func (s *scanner) space() {
	for s.at < len(s.doc) {
		switch s.doc[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// key steps over a key, the colon and the white space around it. It returns the key in its quotes.
func (s *scanner) key() ([]byte, error) {
	from := s.at
	if !s.take('"') || !s.str() {
		return nil, s.wrong()
	}
	raw := s.doc[from:s.at]
	s.space()
	if !s.take(':') {
		return nil, s.wrong()
	}
	s.space()
	return raw, nil
}

// value steps over one value inside of the message, and not over the white space behind it.
func (s *scanner) value() error {
	for {
		over, err := s.begin()
		if err != nil {
			return err
		}
		if !over {
			continue
		}
		for {
			if s.depth == 0 {
				return nil
			}
			s.space()
			if !s.take(s.closer()) {
				break
			}
			s.depth--
		}
		if !s.take(',') {
			return s.wrong()
		}
		s.space()
		if s.closer() == '}' {
			if _, err := s.key(); err != nil {
				return err
			}
		}
	}
}

// begin steps over a scalar or an empty container, and then the value is over; or up to the first value inside of a
// container.
func (s *scanner) begin() (over bool, err error) {
	c := s.peek()
	if c != '{' && c != '[' {
		if !s.scalar(c) {
			return false, s.wrong()
		}
		return true, nil
	}
	if s.depth+1 == MaxDepth { // the message itself is the first
		return false, fmt.Errorf("message is nested deeper than %d", MaxDepth)
	}
	s.at++
	s.depth++
	s.note(c == '{')
	s.space()
	if s.take(s.closer()) {
		s.depth--
		return true, nil
	}
	if c == '{' {
		_, err = s.key()
	}
	return false, err
}

// note writes down whether the innermost container is an object.
func (s *scanner) note(object bool) {
	bit := uint64(1) << (s.depth % 64)
	if object {
		s.objects[s.depth/64] |= bit
	} else {
		s.objects[s.depth/64] &^= bit
	}
}

// closer is what ends the innermost container.
func (s *scanner) closer() byte {
	if s.objects[s.depth/64]>>(s.depth%64)&1 != 0 {
		return '}'
	}
	return ']'
}

// scalar steps over a string, number or literal that begins with c.
func (s *scanner) scalar(c byte) bool {
	switch c {
	case '"':
		s.at++
		return s.str()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

// str steps over the rest of a string, behind its first quote.
func (s *scanner) str() bool {
	for s.at < len(s.doc) {
		switch c := s.doc[s.at]; {
		case c == '"':
			s.at++
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c < ' ':
			return false
		default:
			s.at++
		}
	}
	return false
}

// escape steps over a backslash and what belongs to it.
func (s *scanner) escape() bool {
	s.at++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return true
	case 'u':
		for range 4 {
			s.at++
			if c := s.peek(); !digit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return false
			}
		}
		s.at++
		return true
	}
	return false
}

func (s *scanner) literal(word string) bool {
	for i := range len(word) {
		if !s.take(word[i]) {
			return false
		}
	}
	return true
}

func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.peek()|0x20 == 'e' {
		s.at++
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}

// digits steps over at least one digit.
func (s *scanner) digits() bool {
	from := s.at
	for digit(s.peek()) {
		s.at++
	}
	return s.at > from
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
