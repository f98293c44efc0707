package codec

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

var textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()

func (d *decoder) objectInto(pos int, v reflect.Value) (end int, err error) {
	switch {
	case v.Kind() == reflect.Struct:
		return d.structInto(pos, v)
	case v.Kind() == reflect.Map && keyReader(v.Type().Key()) != nil:
		return d.mapInto(pos, v)
	}
	return pos, d.mismatch(pos, wanted(v.Type()))
}

func (d *decoder) structInto(pos int, v reflect.Value) (end int, err error) {
	if err := d.enter(); err != nil {
		return pos, err
	}
	fields := fieldsOf(v.Type())
	i := skipSpace(d.text, pos+1)
	for d.text[i] != '}' {
		name, tag, at := d.key(i)
		end := 0
		if f := fields.find(name); f != nil {
			if end, err = d.fieldInto(at, tag, v, f); err != nil {
				return end, inMember(err, f.name)
			}
		} else {
			end = d.end(at)
		}
		i = skipComma(d.text, end)
	}
	d.leave()
	return i + 1, nil
}

// fieldInto reads a member into a field, through embedded pointers.
func (d *decoder) fieldInto(pos int, tag string, v reflect.Value, f *field) (end int, err error) {
	for i, at := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !v.CanSet() {
					return pos, fmt.Errorf("codec: cannot set the embedded pointer to the unexported struct %s: embed it by value, or export it", v.Type().Elem())
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(at)
	}
	if f.quoted && tag != "P" {
		return d.quotedInto(pos, v)
	}
	return d.into(pos, tag, v)
}

// quotedInto reads a field with the option "string": a scalar inside a string.
func (d *decoder) quotedInto(pos int, v reflect.Value) (end int, err error) {
	if d.isNull(pos) {
		return d.into(pos, "", v)
	}
	want := wanted(v.Type()) + " inside a string"
	if d.text[pos] != '"' {
		return pos, d.mismatch(pos, want)
	}
	text, end := d.str(pos)
	if !isQuotable(text) {
		return end, &TypeError{Want: want, Got: "the string " + strconv.Quote(shown(string(text)))}
	}
	inner := decoder{Options: d.Options, text: text}
	_, err = inner.into(0, "", v)
	return end, err
}

// isQuotable reports whether text is a scalar and nothing else. Numbers may have
// leading zeros here, as encoding/json lets them.
func isQuotable(text []byte) bool {
	if len(text) == 0 || skipSpace(text, 0) > 0 {
		return false
	}
	if b := text[0]; b != '-' && (b < '0' || b > '9') {
		if _, err := check(text, 0, false); err != nil {
			return false
		}
	}
	return skipScalar(text, 0) == len(text)
}

func (d *decoder) mapInto(pos int, v reflect.Value) (end int, err error) {
	if err := d.enter(); err != nil {
		return pos, err
	}
	t := v.Type()
	if v.IsNil() {
		v.Set(reflect.MakeMap(t))
	}
	read := keyReader(t.Key())
	elem := reflect.New(t.Elem()).Elem()
	i := skipSpace(d.text, pos+1)
	for d.text[i] != '}' {
		key, tag, at := d.key(i)
		name := string(key)
		elem.SetZero()
		end, err := d.into(at, tag, elem)
		if err != nil {
			return end, inMember(err, name)
		}
		k := reflect.New(t.Key()).Elem()
		if err := read(name, k); err != nil {
			return end, inMember(err, name)
		}
		v.SetMapIndex(k, elem)
		i = skipComma(d.text, end)
	}
	d.leave()
	return i + 1, nil
}

// keyReader returns what reads a map key of type t, nil if t cannot be a key.
func keyReader(t reflect.Type) func(name string, key reflect.Value) error {
	k := t.Kind()
	switch {
	case reflect.PointerTo(t).Implements(textUnmarshalerType):
		return func(name string, key reflect.Value) error {
			err := key.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(name))
			if err != nil {
				return &TypeError{Want: "a key for the Go type " + t.String(), Got: strconv.Quote(shown(name)), Err: err}
			}
			return nil
		}
	case k == reflect.String:
		return func(name string, key reflect.Value) error {
			key.SetString(name)
			return nil
		}
	case k >= reflect.Int && k <= reflect.Uintptr:
		return func(name string, key reflect.Value) error {
			if setWhole(key, name) != nil {
				return &TypeError{Want: wanted(t) + " as the key", Got: strconv.Quote(shown(name))}
			}
			return nil
		}
	}
	return nil
}

var errOverflow = errors.New("does not fit")

// setWhole sets an integer of any kind.
func setWhole(v reflect.Value, text string) error {
	if v.CanInt() {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return errOverflow
		}
		v.SetInt(n)
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || v.OverflowUint(n) {
		return errOverflow
	}
	v.SetUint(n)
	return nil
}

func (d *decoder) arrayInto(pos int, tag string, v reflect.Value) (end int, err error) {
	k := v.Kind()
	if k != reflect.Array && k != reflect.Slice {
		return pos, d.mismatch(pos, wanted(v.Type()))
	}
	if err := d.enter(); err != nil {
		return pos, err
	}
	tags := elementTags(tag)
	i, n := skipSpace(d.text, pos+1), 0
	for ; d.text[i] != ']'; n++ {
		if k == reflect.Slice {
			if n >= v.Cap() {
				v.Grow(1)
			}
			if n >= v.Len() {
				v.SetLen(n + 1)
			}
		}
		end, elem := 0, tags.next()
		if n < v.Len() {
			if end, err = d.into(i, elem, v.Index(n)); err != nil {
				return end, inElement(err, n)
			}
		} else {
			end = d.end(i)
		}
		i = skipComma(d.text, end)
	}
	d.leave()
	switch {
	case k == reflect.Array:
		for ; n < v.Len(); n++ {
			v.Index(n).SetZero()
		}
	case n == 0:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	default:
		v.SetLen(n)
	}
	return i + 1, nil
}

func (d *decoder) stringInto(pos int, v reflect.Value) (end int, err error) {
	switch {
	case v.Kind() == reflect.String:
		text, end := d.str(pos)
		if v.Type() == reflect.TypeFor[json.Number]() && !isNumber(text) {
			return end, d.mismatch(pos, "a number")
		}
		v.SetString(string(text))
		return end, nil
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		data, end, err := d.base64(pos)
		if err == nil {
			v.SetBytes(data)
		}
		return end, err
	}
	return pos, d.mismatch(pos, wanted(v.Type()))
}

func (d *decoder) boolInto(pos int, v reflect.Value) (end int, err error) {
	if v.Kind() != reflect.Bool {
		return pos, d.mismatch(pos, wanted(v.Type()))
	}
	v.SetBool(d.text[pos] == 't')
	return skipScalar(d.text, pos), nil
}

func (d *decoder) numberInto(pos int, v reflect.Value) (end int, err error) {
	end = skipScalar(d.text, pos)
	text := string(d.text[pos:end])
	switch k := v.Kind(); {
	case k >= reflect.Int && k <= reflect.Uintptr:
		err = setWhole(v, text)
	case k == reflect.Float32 || k == reflect.Float64:
		f, parsed := strconv.ParseFloat(text, v.Type().Bits())
		if parsed == nil {
			v.SetFloat(f)
		}
		err = parsed
	case v.Type() == reflect.TypeFor[json.Number]():
		v.SetString(text)
	default:
		err = errOverflow
	}
	if err != nil {
		return end, d.mismatch(pos, wanted(v.Type()))
	}
	return end, nil
}
