package line

import (
	"bytes"
	"encoding/base64"
	"errors"
	"unicode/utf8"
)

const (
	maxNumber = 1<<53 - 1
	maxDigits = 16
	maxKey    = 16  // letters of an op or of a param's key
	maxName   = 255 // bytes of a decoded name
)

var (
	// ErrMalformed says that a line breaks the grammar.
	ErrMalformed = errors.New("line: malformed line")

	// ErrUnsupported says that a line begins with an op that this version does not know.
	ErrUnsupported = errors.New("line: unknown op")
)

// Envelope is one line, read. Its slices point into what [Parse] was given, except a Name that held escapes and a
// Payload that came as base64.
type Envelope struct {
	Op      Op
	ID      uint64 // of c r e x n z g s u
	Count   uint64 // of a and g
	Name    []byte // path, event or channel, decoded; of c s u m b
	Params  []byte // as they stand on the wire, from the first semicolon on; nil without any
	Payload []byte // nil: no payload, which is not the same as an empty one or as null
	Octets  bool   // Payload is raw bytes, from a binary message or from base64; else it is JSON text
}

// Parse reads one unit into e, which it overwrites. head is a line without its LF, in UTF-8; octets are the bytes that
// followed it, nil when none were announced; binary says that it came in a binary message, where bytes follow their
// line, not in base64. Params are checked as a whole. JSON is not checked beyond the first byte of a payload that must
// be an object: that, and whether ids and names mean anything, is for the caller.
//
// The error is [ErrMalformed] or [ErrUnsupported]; e is then meaningless.
func Parse(head, octets []byte, binary bool, e *Envelope) error {
	op := OpOf(head)
	if op == 0 {
		return strange(opField(head))
	}
	*e = Envelope{Op: op}
	form, at, ok := shapes[op], 1, true
	if form.id {
		if e.ID, at, ok = numberField(head, at); !ok {
			return ErrMalformed
		}
	}
	if form.count {
		if e.Count, at, ok = numberField(head, at); !ok {
			return ErrMalformed
		}
	}
	if form.name {
		if e.Name, at, ok = nameField(head, at); !ok {
			return ErrMalformed
		}
	}
	if at < len(head) && head[at] == ';' {
		end := len(head)
		if i := bytes.IndexByte(head[at:], ' '); i >= 0 {
			end = at + i
		}
		if e.Params = head[at:end:end]; !validParams(e.Params) {
			return ErrMalformed
		}
		at = end
	}
	return e.payload(form.payload, head[at:], octets, binary)
}

// strange tells a well-formed op that is not known from something that is no op.
func strange(op []byte) error {
	if len(op) == 0 || len(op) > maxKey {
		return ErrMalformed
	}
	for _, c := range op {
		if !alpha(c) {
			return ErrMalformed
		}
	}
	return ErrUnsupported
}

// payload reads the rest of a line: nothing, or a space and the payload.
func (e *Envelope) payload(rule payloadRule, rest, octets []byte, binary bool) error {
	if len(rest) == 0 {
		if rule == objectPayload || octets != nil {
			return ErrMalformed
		}
		return nil
	}
	if rest[0] != ' ' || len(rest) == 1 || rule == noPayload {
		return ErrMalformed
	}
	rest = rest[1:]
	if rest[0] != '=' {
		if octets != nil || rule == objectPayload && !beginsObject(rest) {
			return ErrMalformed
		}
		e.Payload = rest
		return nil
	}
	if rule != anyPayload {
		return ErrMalformed
	}
	e.Octets = true
	if binary {
		n, end, ok := number(rest, 1)
		if !ok || end != len(rest) || octets == nil || n != uint64(len(octets)) {
			return ErrMalformed
		}
		e.Payload = octets
		return nil
	}
	return e.base64(rest[1:], octets)
}

// base64 decodes the payload of a text line. The decoder would skip a carriage return; the grammar has none.
func (e *Envelope) base64(text, octets []byte) error {
	if octets != nil || bytes.IndexByte(text, '\r') >= 0 {
		return ErrMalformed
	}
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(raw, text)
	if err != nil {
		return ErrMalformed
	}
	e.Payload = raw[:n]
	return nil
}

func beginsObject(json []byte) bool {
	json = bytes.TrimLeft(json, " \t\r")
	return len(json) > 0 && json[0] == '{'
}

// numberField reads a space and a number at head[at:]. It returns where the number ends.
func numberField(head []byte, at int) (n uint64, end int, ok bool) {
	if at >= len(head) || head[at] != ' ' {
		return 0, at, false
	}
	return number(head, at+1)
}

// number reads a number at text[at:], up to a space, a semicolon or the end. What is none yields 0 and false.
func number(text []byte, at int) (n uint64, end int, ok bool) {
	for end = at; end < len(text) && text[end] != ' ' && text[end] != ';'; end++ {
		digit := text[end] - '0'
		if digit > 9 || end-at == maxDigits {
			return 0, end, false
		}
		n = n*10 + uint64(digit)
	}
	if end == at || n > maxNumber || text[at] == '0' && end > at+1 {
		return 0, end, false
	}
	return n, end, true
}

// nameField reads a space and a name at head[at:]. It returns where the name ends.
func nameField(head []byte, at int) (name []byte, end int, ok bool) {
	if at >= len(head) || head[at] != ' ' {
		return nil, at, false
	}
	at++
	end = at
	for end < len(head) && head[end] != ' ' && head[end] != ';' {
		end++
	}
	name, ok = unescape(head[at:end:end])
	return name, end, ok && len(name) > 0 && len(name) <= maxName
}

// unescape decodes chars of the grammar. Text without escapes is returned as it is, without a copy.
func unescape(text []byte) ([]byte, bool) {
	escaped := false
	for _, c := range text {
		if !reserved[c] {
			continue
		}
		if c != '%' {
			return nil, false
		}
		escaped = true
	}
	if escaped {
		var ok bool
		if text, ok = percent(text); !ok {
			return nil, false
		}
	}
	return text, utf8.Valid(text)
}

// percent decodes %XX.
func percent(text []byte) ([]byte, bool) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' {
			if i+2 >= len(text) {
				return nil, false
			}
			high, low := unhex(text[i+1]), unhex(text[i+2])
			if high > 15 || low > 15 {
				return nil, false
			}
			c = high<<4 | low
			i += 2
		}
		out = append(out, c)
	}
	return out, true
}

// unhex is the value of a hexadecimal digit, 255 for anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10
	}
	return 255
}
