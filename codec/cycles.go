package codec

import (
	"errors"
	"reflect"
	"strconv"
)

// cycles finds values that are inside themselves: it knows which maps, slices
// and pointers are being written, and where each of them began.
type cycles struct {
	active map[identity]int // to the length of its path
	path   []step
}

// An identity tells one map, slice or pointer from another. A struct and its
// first field have one address, hence the type; slices of one array differ by
// their length.
type identity struct {
	typ    reflect.Type
	at     uintptr
	length int
}

// A step of a path: the name of a member or the index of an element.
type step struct {
	name  string
	index int
	named bool
}

func identify(v reflect.Value) identity {
	id := identity{typ: v.Type(), at: v.Pointer()}
	if v.Kind() == reflect.Slice {
		id.length = v.Len()
	}
	return id
}

// visit notes that a value is being written. If it is so already it writes a
// pointer to it and returns true.
func (e *encoder) visit(id identity) (done bool, err error) {
	if id.typ.Kind() == reflect.Slice && id.length == 0 {
		return false, nil
	}
	c := e.cycles
	at, found := c.active[id]
	if !found {
		c.active[id] = len(c.path)
		return false, nil
	}
	switch {
	case e.raw > 0:
		return true, errors.New("codec: a cycle inside a Set or Map cannot be written: browsers read no pointers there")
	case at == len(c.path):
		return true, errors.New("codec: a pointer that leads to itself holds no value")
	}
	e.out = append(e.out, '[')
	for i, s := range c.path[:at] {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if s.named {
			e.out = appendQuoted(e.out, s.name)
		} else {
			e.out = strconv.AppendInt(e.out, int64(s.index), 10)
		}
	}
	e.out = append(e.out, ']')
	e.tag('P')
	return true, e.room()
}

func (e *encoder) depart(id identity) { delete(e.cycles.active, id) }

// isLimit reports whether a cycle may be the reason of err.
func isLimit(err error) bool {
	return errors.Is(err, ErrTooDeep) || errors.Is(err, ErrTooLarge)
}
