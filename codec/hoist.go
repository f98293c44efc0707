package codec

import (
	"bytes"
	"strconv"
)

// hoist collects the arrays that become members of their own: api-ape's decoder
// splits the tag of an array at every comma, also at those of the arrays inside
// it, and so reads an inner array only if it has one element.
type hoist struct {
	name   string
	values []any
}

// A place is where the encoder stood.
type place struct{ out, slots, tags, hoisted int }

func (e *encoder) place() place {
	p := place{out: len(e.out), slots: len(e.slots), tags: len(e.tags)}
	if e.hoist != nil {
		p.hoisted = len(e.hoist.values)
	}
	return p
}

// hoistElement replaces the element v, which began at p, by a pointer, if it is
// an array that cannot stay. It is written again later, with whatever it holds
// that had been hoisted already, so an array is written at most once a level.
func (e *encoder) hoistElement(p place, v any) {
	tag := e.tags[p.tags:]
	if len(tag) == 0 || tag[0] != '[' || bytes.IndexByte(tag, ',') < 0 {
		return
	}
	e.out, e.slots, e.tags = e.out[:p.out], e.slots[:p.slots], e.tags[:p.tags]
	e.hoist.values = append(e.hoist.values[:p.hoisted], v)
	e.out = append(e.out, '[')
	e.out = appendQuoted(e.out, e.hoist.member(p.hoisted))
	e.out = append(e.out, ']')
	e.tag('P')
}

// writeHoisted writes the arrays as members, and those hoisted from them.
func (e *encoder) writeHoisted() error {
	if e.hoist == nil {
		return nil
	}
	for i := 0; i < len(e.hoist.values); i++ {
		m := e.open(e.hoist.member(i), false)
		if err := e.value(e.hoist.values[i]); err != nil {
			return err
		}
		e.close(m)
	}
	return nil
}

func (h *hoist) member(i int) string { return h.name + "$" + strconv.Itoa(i+1) }
