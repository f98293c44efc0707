package classic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// MaxDepth is how deep the arrays and objects of a message may be nested, the message itself included. It only bounds
// what [Scan] takes; whoever decodes a value sets a limit of his own, and can then answer the call.
const MaxDepth = 1024

// Message is what a client sends. One that subscribes or unsubscribes is nothing else; a non-empty Subscribe comes
// first, then Unsubscribe, then Type. Its slices point into the document, except texts and keys that held escapes.
type Message struct {
	Type        []byte // path of a call, as the client wrote it: see Bare
	Subscribe   []byte // channel, as the client wrote it; nil or empty: none
	Unsubscribe []byte // likewise

	Data []byte // the member data: one well-formed JSON value; nil when absent, as for an undefined argument
	Tag  []byte // type tag of the key of data, what stands in <!…>; nil without one

	CreatedAt    int64 // when the client made the call, in Unix milliseconds by its clock
	HasCreatedAt bool
}

// Scan reads the top level of one message into m, which it overwrites. It checks that doc is UTF-8 and one JSON object
// nested at most [MaxDepth] deep, so Data needs no second check; it does not decode Data. Of members with one name the
// last one counts, null is the same as absent, unknown ones are ignored, and type tags count on data only.
//
// The error says in words for the client what is wrong; m is then meaningless.
func Scan(doc []byte, m *Message) error {
	*m = Message{}
	if !utf8.Valid(doc) {
		return errors.New("message is not UTF-8")
	}
	var last members
	if err := last.read(doc, m); err != nil {
		return err
	}
	var err error
	if m.Subscribe, err = text("subscribe", last.subscribe); err != nil {
		return err
	}
	if m.Unsubscribe, err = text("unsubscribe", last.unsubscribe); err != nil {
		return err
	}
	if m.Type, err = text("type", last.typ); err != nil {
		return err
	}
	if m.CreatedAt, m.HasCreatedAt, err = milliseconds("createdAt", last.createdAt); err != nil {
		return err
	}
	if len(m.Subscribe) == 0 && len(m.Unsubscribe) == 0 && m.Type == nil {
		return errors.New("type is missing")
	}
	return nil
}

// members are the raw values that Scan looks at more closely.
type members struct {
	typ, subscribe, unsubscribe, createdAt []byte
}

// read walks over the members of doc.
func (v *members) read(doc []byte, m *Message) error {
	s := scanner{doc: doc}
	if s.space(); s.peek() != '{' {
		return errors.New("message must be a JSON object")
	}
	s.at++
	s.space()
	for more := !s.take('}'); more; {
		key, err := s.key()
		if err != nil {
			return err
		}
		from := s.at
		if err := s.value(); err != nil {
			return err
		}
		v.keep(unquote(key), doc[from:s.at:s.at], m)
		s.space()
		if more = s.take(','); more {
			s.space()
		} else if !s.take('}') {
			return s.wrong()
		}
	}
	if s.space(); s.at < len(doc) {
		return s.wrong()
	}
	return nil
}

func (v *members) keep(key, value []byte, m *Message) {
	name, tag := cutTag(key)
	switch string(name) {
	case "type":
		v.typ = value
	case "subscribe":
		v.subscribe = value
	case "unsubscribe":
		v.unsubscribe = value
	case "createdAt":
		v.createdAt = value
	case "data":
		m.Data, m.Tag = value, tag
	}
}

// cutTag splits a key as the clients' decoder does: at the last <! that is followed by a >, and only behind a name.
// What follows the last > is dropped.
func cutTag(key []byte) (name, tag []byte) {
	end := bytes.LastIndexByte(key, '>')
	if end < 0 {
		return key, nil
	}
	at := bytes.LastIndex(key[:end], []byte("<!"))
	if at < 1 {
		return key, nil
	}
	return key[:at], key[at+2 : end : end]
}

// text reads a member that must be a string. Nil is what absent and null yield.
func text(member string, raw []byte) ([]byte, error) {
	if absent(raw) {
		return nil, nil
	}
	if raw[0] != '"' {
		return nil, fmt.Errorf("%s must be a string", member)
	}
	return unquote(raw), nil
}

// unquote is the content of a well-formed JSON string, a copy only when it holds escapes.
func unquote(raw []byte) []byte {
	inner := raw[1 : len(raw)-1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return unescape(raw)
}

func unescape(raw []byte) []byte {
	var s string
	_ = json.Unmarshal(raw, &s) // the scanner has accepted it
	return []byte(s)
}

// milliseconds reads a member that must be a number, with or without a fraction.
func milliseconds(member string, raw []byte) (ms int64, ok bool, err error) {
	if absent(raw) {
		return 0, false, nil
	}
	if raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9' {
		if ms, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			return ms, true, nil
		}
		f, err := strconv.ParseFloat(string(raw), 64)
		if err == nil && -1<<63 <= f && f < 1<<63 {
			return int64(f), true, nil
		}
	}
	return 0, false, fmt.Errorf("%s must be a number of milliseconds", member)
}

func absent(raw []byte) bool { return raw == nil || raw[0] == 'n' }
