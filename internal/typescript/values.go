package typescript

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"

	"github.com/goape/ape/codec"
)

// closedSet returns the literals of a type that has a closed set of values,
// nil for every other type. The type's own method decides, then the source.
func (p *printer) closedSet(t reflect.Type) ([]string, error) {
	if !isNamed(t) || t.Kind() == reflect.Pointer {
		return nil, nil
	}
	if set, ok := p.values[t]; ok {
		return set, nil
	}
	values, ok, err := valuesOf(t)
	if err != nil {
		return nil, err
	}
	if !ok {
		values = p.src.Constants(t)
	}
	var set []string
	for _, v := range values {
		text, ok := literal(v)
		if !ok {
			set = nil
			break
		}
		if !slices.Contains(set, text) {
			set = append(set, text)
		}
	}
	p.values[t] = set
	return set, nil
}

// valuesOf calls the method Values() []T of the zero value, or of a pointer to
// it; ok is false for types without one. The elements may also have the kind of
// T: generated enums return []string.
func valuesOf(t reflect.Type) (values []reflect.Value, ok bool, err error) {
	method := reflect.New(t).MethodByName("Values")
	if !method.IsValid() {
		return nil, false, nil
	}
	f := method.Type()
	if f.NumIn() != 0 || f.NumOut() != 1 || f.Out(0).Kind() != reflect.Slice || f.Out(0).Elem().Kind() != t.Kind() || !f.Out(0).Elem().ConvertibleTo(t) {
		return nil, false, nil
	}
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the method Values of the zero %s panicked: %v", t, cause)
		}
	}()
	list := method.Call(nil)[0]
	for i := range list.Len() {
		values = append(values, list.Index(i).Convert(t))
	}
	return values, true, nil
}

// literal returns a value as it is written, if that is one that a type of
// TypeScript can be.
func literal(v reflect.Value) (string, bool) {
	box := reflect.New(v.Type()) // so that methods of the pointer count, as in a struct that is pointed to
	box.Elem().Set(v)
	text, err := codec.Marshal(box.Interface())
	if err != nil || len(text) == 0 || bytes.IndexByte([]byte(`{[n`), text[0]) >= 0 {
		return "", false
	}
	return string(text), true
}
