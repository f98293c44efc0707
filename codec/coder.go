package codec

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
)

// A coder writes the values of one type.
type coder func(e *encoder, v reflect.Value) error

var (
	coders sync.Map // reflect.Type to coder

	marshalerType     = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
	goErrorType       = reflect.TypeFor[error]()
)

// coderOf returns the coder for t. While it is being made, for a type that
// holds itself, others get one that waits.
func coderOf(t reflect.Type) coder {
	if c, ok := coders.Load(t); ok {
		return c.(coder)
	}
	var made coder
	var making sync.WaitGroup
	making.Add(1)
	other, loaded := coders.LoadOrStore(t, coder(func(e *encoder, v reflect.Value) error {
		making.Wait()
		return made(e, v)
	}))
	if loaded {
		return other.(coder)
	}
	made = newCoder(t)
	making.Done()
	coders.Store(t, made)
	return made
}

// newCoder picks the way to write t: the types that have a tag, then what the
// type says itself, then what its kind says.
func newCoder(t reflect.Type) coder {
	if c := taggedCoder(t); c != nil {
		return c
	}
	pointer := reflect.PointerTo(t)
	switch {
	case t.Kind() == reflect.Interface:
		return writeInterface
	case t.Implements(marshalerType):
		return nilOr(t, writeMarshaler)
	case t.Kind() != reflect.Pointer && pointer.Implements(marshalerType):
		return byAddress(writeMarshaler, kindCoder(t))
	case t.Implements(goErrorType):
		return nilOr(t, writeGoError)
	case t.Implements(textMarshalerType):
		return nilOr(t, writeText)
	case t.Kind() != reflect.Pointer && pointer.Implements(textMarshalerType):
		return byAddress(writeText, kindCoder(t))
	}
	return kindCoder(t)
}

// kindCoder returns the coder for a type without methods of interest.
func kindCoder(t reflect.Type) coder {
	switch t.Kind() {
	case reflect.Bool:
		return writeBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return writeInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return writeUint
	case reflect.Float32, reflect.Float64:
		return writeFloat
	case reflect.String:
		if t == reflect.TypeFor[json.Number]() {
			return writeNumber
		}
		return writeString
	case reflect.Struct:
		return structCoder(t)
	case reflect.Map:
		return mapCoder(t)
	case reflect.Slice:
		if isBytes(t) {
			return writeBytes
		}
		return sliceCoder(t)
	case reflect.Array:
		return listCoder(t)
	case reflect.Pointer:
		return pointerCoder(t)
	}
	return func(*encoder, reflect.Value) error {
		return fmt.Errorf("codec: a %s cannot be written: give the field the tag `json:\"-\"`, or the type a MarshalJSON method", t)
	}
}

// isBytes reports whether a slice type is written as base64.
func isBytes(t reflect.Type) bool {
	p := reflect.PointerTo(t.Elem())
	return t.Elem().Kind() == reflect.Uint8 && !p.Implements(marshalerType) && !p.Implements(textMarshalerType)
}

// nilOr writes null for a nil pointer, on which methods may fail.
func nilOr(t reflect.Type, c coder) coder {
	if t.Kind() != reflect.Pointer {
		return c
	}
	return func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			return writeNull(e)
		}
		return c(e, v)
	}
}

// byAddress uses methods of the pointer where the value has an address, as
// encoding/json does.
func byAddress(c, otherwise coder) coder {
	return func(e *encoder, v reflect.Value) error {
		if v.CanAddr() {
			return c(e, v.Addr())
		}
		return otherwise(e, v)
	}
}

func structCoder(t reflect.Type) coder {
	set := fieldsOf(t)
	fields := make([]coder, len(set.list))
	for i, f := range set.list {
		fields[i] = coderOf(f.typ)
		if f.quoted && !hasMethods(f.typ) {
			fields[i] = quotedCoder(fields[i])
		}
	}
	return func(e *encoder, v reflect.Value) error {
		if err := e.enter(); err != nil {
			return err
		}
		e.out = append(e.out, '{')
		first := true
		for i := range set.list {
			f := &set.list[i]
			fv, ok := fieldValue(v, f.index)
			if !ok || f.omitEmpty && isEmpty(fv) || f.omitZero != nil && f.omitZero(fv) {
				continue
			}
			m := e.open(f.name, first)
			if err := fields[i](e, fv); err != nil {
				return err
			}
			first = !e.close(m) && first
		}
		e.out = append(e.out, '}')
		e.leave()
		return nil
	}
}

// fieldValue follows index; ok is false where an embedded pointer is nil.
func fieldValue(v reflect.Value, index []int) (field reflect.Value, ok bool) {
	for i, at := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(at)
	}
	return v, true
}

// hasMethods reports whether the type behind a pointer writes itself, or is an
// error. The option "string" does not concern such types.
func hasMethods(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer {
		t = reflect.PointerTo(t)
	}
	return t.Implements(marshalerType) || t.Implements(textMarshalerType) || t.Implements(goErrorType)
}

// quotedCoder is for the option "string": text in a string, null as it is.
func quotedCoder(c coder) coder {
	return func(e *encoder, v reflect.Value) error {
		start := len(e.out)
		if err := c(e, v); err != nil {
			return err
		}
		if text := string(e.out[start:]); text != "null" {
			e.out = appendQuoted(e.out[:start], text)
		}
		return nil
	}
}

func sliceCoder(t reflect.Type) coder {
	list := listCoder(t)
	return func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			return writeNull(e)
		}
		return e.tracked(v, list)
	}
}

func listCoder(t reflect.Type) coder {
	elem := coderOf(t.Elem())
	return func(e *encoder, v reflect.Value) error {
		open, err := e.openArray()
		if err != nil {
			return err
		}
		for i := range v.Len() {
			mark, err := e.element(open, i)
			if err != nil {
				return err
			}
			if err := elem(e, v.Index(i)); err != nil {
				return err
			}
			if e.hoist != nil {
				e.hoistElement(mark, v.Index(i).Interface())
			}
			e.elementDone(&open, mark)
		}
		e.closeArray(open)
		return nil
	}
}

func pointerCoder(t reflect.Type) coder {
	elem := coderOf(t.Elem())
	inner := func(e *encoder, v reflect.Value) error {
		if err := e.hop(); err != nil {
			return err
		}
		defer e.unhop()
		return elem(e, v.Elem())
	}
	return func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			return writeNull(e)
		}
		return e.tracked(v, inner)
	}
}

// tracked lets c write v, or writes a pointer where v is inside itself.
func (e *encoder) tracked(v reflect.Value, c coder) error {
	if e.cycles == nil {
		return c(e, v)
	}
	id := identify(v)
	if done, err := e.visit(id); done || err != nil {
		return err
	}
	defer e.depart(id)
	return c(e, v)
}
