package ape

import (
	"bytes"
	"fmt"

	"github.com/goape/ape/codec"
	"github.com/goape/ape/internal/classic"
	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// pushKind is what a push is.
type pushKind byte

const (
	pushEvent pushKind = iota
	pushMessage
)

// push is an event or a channel message, encoded once however many clients get
// it: the payload when it is made, a frame for each dialect when the first
// client needs it. It is not safe for concurrent use; a channel's lock guards
// the one that it keeps as its last value.
type push struct {
	kind    pushKind
	name    string
	data    any    // for the OnSend hook; nil once kept as a last value
	payload []byte // JSON, or octets
	octets  bool
	none    bool // codec.Undefined: no payload

	lines   [2]transport.Frame // ape.1: news, last value
	made    [2]bool
	classic transport.Frame
	old     bool // classic is made
}

func newPush(kind pushKind, name string, data any) (*push, error) {
	if kind == pushMessage {
		name = trimSlash(name)
	}
	if err := checkName(trimSlash(name)); err != nil {
		return nil, fmt.Errorf("ape: send %q: %w", shown(name), err)
	}
	p := &push{kind: kind, name: name, data: data}
	var err error
	switch v := data.(type) {
	case []byte:
		p.payload, p.octets = bytes.Clone(v), true
	default:
		if data == codec.Undefined {
			p.none = true
			break
		}
		p.payload, err = codec.Marshal(data)
		if err == nil && bytes.Contains(p.payload, []byte("<!")) {
			// Where tags stand depends on the dialect, and data may change
			// once this returns.
			p.classic, err = classicPush(p, data)
			p.old = true
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ape: send %q: %w", name, err)
	}
	return p, nil
}

// lineFrame is the push in ape.1. last marks a channel's last value.
func (p *push) lineFrame(last bool) transport.Frame {
	i := 0
	if last {
		i = 1
	}
	if p.made[i] {
		return p.lines[i]
	}
	b := transport.Begin(make([]byte, 0, 32+len(p.name)+len(p.payload)))
	if p.kind == pushEvent {
		b = line.AppendEvent(b, trimSlash(p.name))
	} else {
		b = line.AppendMessage(b, p.name, last)
	}
	switch {
	case p.none:
		p.lines[i] = transport.Text(line.AppendNone(b))
	case p.octets:
		p.lines[i] = transport.Binary(line.AppendOctets(b, p.payload), len(p.payload))
	default:
		p.lines[i] = transport.Text(line.AppendJSON(b, p.payload))
	}
	p.made[i] = true
	return p.lines[i]
}

// classicFrame is the push in the classic dialect.
func (p *push) classicFrame() (transport.Frame, error) {
	if p.old {
		return p.classic, nil
	}
	var data any
	switch {
	case p.none:
		data = codec.Undefined
	case p.octets:
		data = p.payload
	default:
		data = rawJSON(p.payload)
	}
	f, err := classicPush(p, data)
	if err == nil {
		p.classic, p.old = f, true
	}
	return f, err
}

// rawJSON is data that is encoded already and holds no tags.
type rawJSON []byte

// classicPush makes a classic frame.
func classicPush(p *push, data any) (transport.Frame, error) {
	b := transport.Begin(make([]byte, 0, 64+len(p.name)+len(p.payload)))
	if p.kind == pushEvent {
		b = classic.AppendEvent(b, p.name)
	} else {
		b = classic.AppendMessage(b, p.name)
	}
	b, err := appendData(b, data, 0)
	if err != nil {
		return transport.Frame{}, err
	}
	return transport.Text(b), nil
}
