package codec

import (
	"math"
	"reflect"
	"slices"
	"strconv"
)

// object writes a map[string]any, sorted by key.
func (e *encoder) object(m map[string]any) error {
	if m == nil {
		e.out = append(e.out, "null"...)
		return nil
	}
	if e.cycles != nil {
		id := identify(reflect.ValueOf(m))
		if done, err := e.visit(id); done || err != nil {
			return err
		}
		defer e.depart(id)
	}
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	from := len(e.keys)
	for key := range m {
		e.keys = append(e.keys, key)
	}
	to := len(e.keys)
	slices.Sort(e.keys[from:to])
	e.out = append(e.out, '{')
	first := true
	for i := from; i < to; i++ {
		if err := e.room(); err != nil {
			return err
		}
		open := e.open(e.keys[i], first)
		if err := e.value(m[e.keys[i]]); err != nil {
			return err
		}
		first = !e.close(open) && first
	}
	e.keys = e.keys[:from]
	e.out = append(e.out, '}')
	return nil
}

// array writes a []any with the tags of its elements.
func (e *encoder) array(list []any) error {
	if list == nil {
		e.out = append(e.out, "null"...)
		return nil
	}
	if e.cycles != nil {
		id := identify(reflect.ValueOf(list))
		if done, err := e.visit(id); done || err != nil {
			return err
		}
		defer e.depart(id)
	}
	open, err := e.openArray()
	if err != nil {
		return err
	}
	for i, v := range list {
		mark, err := e.element(open, i)
		if err != nil {
			return err
		}
		if err := e.value(v); err != nil {
			return err
		}
		if e.hoist != nil {
			e.hoistElement(mark, v)
		}
		e.elementDone(&open, mark)
	}
	e.closeArray(open)
	return nil
}

// A list is an array that is being written.
type list struct {
	tags   int // where its tag begins
	tagged bool
}

// openArray writes the bracket. The tag of the array grows at the end of tags
// and is given up if no element turns out to be tagged.
func (e *encoder) openArray() (list, error) {
	a := list{tags: len(e.tags)}
	if err := e.enter(); err != nil {
		return a, err
	}
	e.out = append(e.out, '[')
	e.tags = append(e.tags, '[')
	return a, nil
}

// element begins the element i.
func (e *encoder) element(a list, i int) (mark place, err error) {
	if i > 0 {
		e.out = append(e.out, ',')
		e.tags = append(e.tags, ',')
	}
	if e.cycles != nil {
		e.cycles.path = append(e.cycles.path, step{index: i})
	}
	return e.place(), e.room()
}

// elementDone ends an element.
func (e *encoder) elementDone(a *list, mark place) {
	if e.cycles != nil {
		e.cycles.path = e.cycles.path[:len(e.cycles.path)-1]
	}
	if e.missing {
		e.missing = false
		e.tag('U')
	}
	a.tagged = a.tagged || len(e.tags) > mark.tags
}

func (e *encoder) closeArray(a list) {
	e.out = append(e.out, ']')
	if a.tagged {
		e.tags = append(e.tags, ']')
	} else {
		e.tags = e.tags[:a.tags]
	}
	e.leave()
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

// appendFloat appends f as JavaScript writes numbers.
func appendFloat(dst []byte, f float64, bits int) []byte {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(dst, "null"...)
	case abs == 0:
		return append(dst, '0')
	case bits == 64 && abs < 1<<53 && f == math.Trunc(f):
		return strconv.AppendInt(dst, int64(f), 10)
	}
	small, large := abs < 1e-6, abs >= 1e21
	if bits == 32 {
		small, large = float32(abs) < 1e-6, float32(abs) >= 1e21
	}
	if !small && !large {
		return strconv.AppendFloat(dst, f, 'f', -1, bits)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, bits)
	// JavaScript writes e-7 where Go writes e-07.
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
