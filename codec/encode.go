package codec

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// An encoder writes one value. A coder that writes a tagged value appends the
// tag to tags; who called it puts the tag on the key, or into the tag of the
// array. A key is written before its value's tag is known: the key gets a slot,
// and splice fills the slots in the end.
type encoder struct {
	Options
	out   []byte
	base  int    // where this value's text begins in out
	tags  []byte // of the values that are being written, innermost last
	slots []slot
	fills []byte   // what slots get, one after the other
	keys  []string // of the maps that are being written, innermost last

	depth   int     // arrays and objects around the value
	hops    int     // pointers and interfaces around the value
	raw     int     // Sets and Maps around the value
	missing bool    // the value just written is Undefined
	cycles  *cycles // nil in the first attempt
	hoist   *hoist  // nil: arrays stay where they are
}

// A slot is a place in out where text may be put in later.
type slot struct{ pos, from, to int }

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// maxKept bounds the buffers that an idle encoder keeps.
const maxKept = 64 << 10

func newEncoder(dst []byte, o Options) *encoder {
	e := encoders.Get().(*encoder)
	*e = encoder{
		Options: o, out: dst, base: len(dst),
		tags: e.tags[:0], slots: e.slots[:0], fills: e.fills[:0], keys: e.keys[:0],
	}
	return e
}

// release gives the encoder's buffers back. The text belongs to the caller.
func (e *encoder) release() {
	if cap(e.tags)+cap(e.fills)+cap(e.slots)+cap(e.keys) > maxKept {
		return
	}
	clear(e.keys[:cap(e.keys)])
	e.out, e.cycles, e.hoist = nil, nil, nil
	encoders.Put(e)
}

// write appends v as a whole text. Most values have no cycles, so they are
// looked for only in a second attempt, when the first went too deep or grew too
// large.
func (o Options) write(dst []byte, v any) ([]byte, error) {
	if out, ok := o.writePlain(dst, v); ok {
		return out, nil
	}
	return o.twice(dst, func(e *encoder) error { return e.root(v) })
}

func (o Options) writeMember(dst []byte, name string, v any) ([]byte, error) {
	if !strings.Contains(name, tagOpen) {
		key := append(appendQuoted(dst, name), ':')
		if out, ok := o.writePlain(key, v); ok {
			return out, nil
		}
	}
	return o.twice(dst, func(e *encoder) error { return e.rootMember(name, v) })
}

// twice lets write write, and once more with an eye on cycles if need be.
func (o Options) twice(dst []byte, write func(*encoder) error) ([]byte, error) {
	out, err := o.once(dst, nil, write)
	if isLimit(err) {
		out, err = o.once(dst, &cycles{active: map[identity]int{}}, write)
	}
	return out, err
}

func (o Options) once(dst []byte, c *cycles, write func(*encoder) error) ([]byte, error) {
	e := newEncoder(dst, o)
	defer e.release()
	e.cycles = c
	if err := write(e); err != nil {
		return dst, err
	}
	return e.out, nil
}

// root writes v with its tag, if it has one, as the only key of an object.
func (e *encoder) root(v any) error {
	e.slots = append(e.slots, slot{pos: e.base})
	if err := e.value(v); err != nil {
		return err
	}
	if e.missing {
		e.tags = append(e.tags, 'U')
	}
	if len(e.tags) > 0 {
		e.fill(0, `{"<!`, e.tags, `>":`)
		e.out = append(e.out, '}')
	}
	return e.finish()
}

func (e *encoder) rootMember(name string, v any) error {
	if e.HoistArrays && e.cycles == nil {
		e.hoist = &hoist{name: name}
	}
	m := e.open(name, true)
	if err := e.value(v); err != nil {
		return err
	}
	e.close(m)
	if err := e.writeHoisted(); err != nil {
		return err
	}
	return e.finish()
}

// finish puts the tags where they belong.
func (e *encoder) finish() error {
	if err := e.room(); err != nil {
		return err
	}
	e.splice()
	if len(e.out)-e.base > e.MaxSize {
		return sizeError(e.MaxSize)
	}
	return nil
}

// A member is one that is being written: what open must tell close.
type member struct {
	start, slot, tags int
	guard             bool // the key looks tagged and is not
	dummies           bool // the key is no name for a tag to stand behind
}

// open writes the key of a member.
func (e *encoder) open(name string, first bool) member {
	m := member{start: len(e.out), slot: len(e.slots), tags: len(e.tags)}
	if !first {
		e.out = append(e.out, ',')
	}
	e.out = appendQuoted(e.out, name)
	if e.raw == 0 {
		e.slots = append(e.slots, slot{pos: len(e.out) - 1})
		m.guard = strings.Contains(name, tagOpen)
		m.dummies = isDummies(name)
	}
	e.out = append(e.out, ':')
	if e.cycles != nil {
		e.cycles.path = append(e.cycles.path, step{name: name, named: true})
	}
	return m
}

// close puts the tag of the value into the slot of its key, and takes the
// member away again if it is Undefined. It reports whether the member stays.
func (e *encoder) close(m member) bool {
	if e.cycles != nil {
		e.cycles.path = e.cycles.path[:len(e.cycles.path)-1]
	}
	if e.missing {
		e.missing = false
		e.out, e.slots, e.tags = e.out[:m.start], e.slots[:m.slot], e.tags[:m.tags]
		return false
	}
	switch tag := e.tags[m.tags:]; {
	case len(tag) > 0 && m.dummies:
		e.fill(m.slot, dummy+tagOpen, tag, ">")
	case len(tag) > 0:
		e.fill(m.slot, tagOpen, tag, ">")
	case m.guard:
		e.fill(m.slot, tagOpen, []byte(dummyTag), ">")
	case e.raw == 0 && len(e.slots) == m.slot+1:
		e.slots = e.slots[:m.slot]
	}
	e.tags = e.tags[:m.tags]
	return true
}

func (e *encoder) fill(slot int, before string, tag []byte, after string) {
	from := len(e.fills)
	e.fills = append(e.fills, before...)
	e.fills = append(e.fills, tag...)
	e.fills = append(e.fills, after...)
	e.slots[slot].from, e.slots[slot].to = from, len(e.fills)
}

// splice moves the text apart, from its end on, and puts the fills in. Slots
// are in order of their positions.
func (e *encoder) splice() {
	more := 0
	for _, s := range e.slots {
		more += s.to - s.from
	}
	if more == 0 {
		return
	}
	end := len(e.out)
	e.out = append(e.out, make([]byte, more)...)
	to := len(e.out)
	for i := len(e.slots) - 1; i >= 0 && to > end; i-- {
		s := e.slots[i]
		if s.from == s.to {
			continue
		}
		to -= copy(e.out[to-(end-s.pos):], e.out[s.pos:end])
		end = s.pos
		to -= s.to - s.from
		copy(e.out[to:], e.fills[s.from:s.to])
	}
}

// tag notes the tag of the value that is being written.
func (e *encoder) tag(tag byte) {
	if e.raw == 0 {
		e.tags = append(e.tags, tag)
	}
}

// enter counts one array or object around what follows, leave one less.
func (e *encoder) enter() error {
	if e.depth++; e.depth > e.MaxDepth {
		return depthError(e.MaxDepth)
	}
	return e.room()
}

func (e *encoder) leave() { e.depth-- }

// room reports whether the text has grown too large.
func (e *encoder) room() error {
	if len(e.out)-e.base > e.MaxSize {
		return sizeError(e.MaxSize)
	}
	return nil
}

// hop counts a pointer or interface around what follows. Values that hold
// nothing but pointers to themselves nest without arrays and objects.
func (e *encoder) hop() error {
	if e.hops++; e.hops > 4*e.MaxDepth+64 {
		return fmt.Errorf("codec: %w: a pointer that leads to itself, or too many in a row", ErrTooDeep)
	}
	return nil
}

func (e *encoder) unhop() { e.hops-- }

// value writes any value; the common types go without reflection.
func (e *encoder) value(v any) error {
	switch v := v.(type) {
	case nil:
		e.out = append(e.out, "null"...)
	case string:
		e.out = appendQuoted(e.out, v)
	case float64:
		e.out = appendFloat(e.out, v, 64)
	case bool:
		e.out = appendBool(e.out, v)
	case map[string]any:
		return e.object(v)
	case []any:
		return e.array(v)
	default:
		return e.reflected(reflect.ValueOf(v))
	}
	return nil
}

func (e *encoder) reflected(v reflect.Value) error {
	return coderOf(v.Type())(e, v)
}
