package codec

import (
	"encoding"
	"encoding/json"
	"reflect"
)

// A target is where a value goes after pointers have been followed and made.
type target struct {
	value reflect.Value
	json  json.Unmarshaler         // nil: the type does not read itself
	text  encoding.TextUnmarshaler // nil: nor its text
}

// settle finds the target in v. For a null it stops at the pointer that can be
// nil. The rules are those of encoding/json: the first type on the way that
// has a method of its own is the target.
func settle(v reflect.Value, null bool) target {
	if v.Kind() != reflect.Pointer && v.Type().Name() != "" && v.CanAddr() {
		if t, ok := methods(v.Addr(), null); ok {
			t.value = v
			return t
		}
	}
	for {
		if v.Kind() == reflect.Interface && !v.IsNil() {
			e := v.Elem()
			if e.Kind() == reflect.Pointer && !e.IsNil() && (!null || e.Elem().Kind() == reflect.Pointer) && !leadsToItself(e) {
				v = e
				continue
			}
		}
		if v.Kind() != reflect.Pointer || null && v.CanSet() {
			return target{value: v}
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		if t, ok := methods(v, null); ok {
			t.value = v.Elem()
			return t
		}
		v = v.Elem()
	}
}

// leadsToItself reports whether p points to an interface that holds p.
func leadsToItself(p reflect.Value) bool {
	e := p.Elem()
	return e.Kind() == reflect.Interface && !e.IsNil() && e.Elem().Kind() == reflect.Pointer && e.Elem().Pointer() == p.Pointer()
}

// methods returns the methods of the pointer p that read a value.
func methods(p reflect.Value, null bool) (target, bool) {
	if p.Type().NumMethod() == 0 || !p.CanInterface() {
		return target{}, false
	}
	switch m := p.Interface().(type) {
	case json.Unmarshaler:
		return target{json: m}, true
	case encoding.TextUnmarshaler:
		return target{text: m}, !null
	}
	return target{}, false
}

// into reads the value at pos into v.
func (d *decoder) into(pos int, tag string, v reflect.Value) (end int, err error) {
	if d.raw > 0 {
		tag = ""
	}
	if tag == "P" && !isEmptyInterface(v) {
		return d.pointerInto(pos, v)
	}
	t := settle(v, d.isNull(pos) || tag == "U")
	k := t.value.Kind()
	switch {
	case k == reflect.Interface && t.value.NumMethod() == 0:
		return d.setAny(pos, tag, t.value)
	case tag == "":
		return d.plainInto(pos, "", t)
	case tag == "U":
		setNil(t.value)
		return d.end(pos), nil
	case k == reflect.Interface:
		return d.setAny(pos, tag, t.value)
	}
	if end, ok, err := d.taggedInto(pos, tag, t); ok {
		return end, err
	}
	// The type has its own idea of the value: what tags are inside is known
	// from the tag, not from the type.
	if tag == "S" || tag == "M" {
		d.raw++
		defer func() { d.raw-- }()
	}
	return d.plainInto(pos, tag, t)
}

func isEmptyInterface(v reflect.Value) bool {
	return v.Kind() == reflect.Interface && v.NumMethod() == 0 && (v.IsNil() || v.Elem().Kind() != reflect.Pointer)
}

// pointerInto reads what a pointer leads to into v, as if it stood here.
func (d *decoder) pointerInto(pos int, v reflect.Value) (end int, err error) {
	end = d.end(pos)
	to, err := d.follow(pos)
	if err != nil {
		return end, err
	}
	if err := d.spend(to.pos); err != nil {
		return end, err
	}
	_, err = d.into(to.pos, to.tag, v)
	return end, err
}

// setNil is null: what can be nil becomes it, all else stays as it is.
func setNil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer, reflect.Map, reflect.Slice:
		v.SetZero()
	}
}

// taggedInto reads a tagged value into the type that the tag is for; ok is
// false for every other type.
func (d *decoder) taggedInto(pos int, tag string, t target) (end int, ok bool, err error) {
	switch typ := t.value.Type(); {
	case tag == "D" && typ == timeType:
		v, end, err := d.date(pos)
		return end, true, store(t.value, v, err)
	case tag == "R" && typ == regExpType:
		v, end, err := d.regExp(pos)
		return end, true, store(t.value, v, err)
	case tag == "R" && typ == regexpType:
		r, end, err := d.regExp(pos)
		if err != nil {
			return end, true, err
		}
		re, err := r.Compile()
		if err != nil {
			return end, true, &TypeError{Want: "a regular expression that Go can compile", Got: shown(r.String()), Err: err}
		}
		t.value.Set(reflect.ValueOf(re).Elem())
		return end, true, nil
	case tag == "E" && typ == errorType:
		v, end, err := d.goError(pos)
		if err == nil {
			t.value.Set(reflect.ValueOf(*v))
		}
		return end, true, err
	case tag == "S" && typ == setType, tag == "M" && typ == mapType:
		v, end, err := d.anyTagged(pos, tag)
		return end, true, store(t.value, v, err)
	}
	return pos, false, nil
}

func store[T any](v reflect.Value, value T, err error) error {
	if err == nil {
		v.Set(reflect.ValueOf(value))
	}
	return err
}

// plainInto reads a value by its target: the type's own methods, then its kind.
func (d *decoder) plainInto(pos int, tag string, t target) (end int, err error) {
	b := d.text[pos]
	if t.json != nil {
		end = d.end(pos)
		if t.value.Type() == timeType && b != '"' && b != 'n' {
			return end, d.mismatch(pos, "a date (a member tagged <!D>, or RFC 3339 text)")
		}
		if err := t.json.UnmarshalJSON(d.text[pos:end]); err != nil {
			return end, &TypeError{Want: wanted(t.value.Type()), Got: d.describe(pos), Err: err}
		}
		return end, nil
	}
	if t.text != nil {
		if b != '"' {
			return pos, d.mismatch(pos, "text for the Go type "+t.value.Type().String())
		}
		text, end := d.str(pos)
		if err := t.text.UnmarshalText(text); err != nil {
			return end, &TypeError{Want: wanted(t.value.Type()), Got: d.describe(pos), Err: err}
		}
		return end, nil
	}
	switch v := t.value; b {
	case '{':
		return d.objectInto(pos, v)
	case '[':
		return d.arrayInto(pos, tag, v)
	case '"':
		return d.stringInto(pos, v)
	case 'n':
		setNil(v)
		return pos + 4, nil
	case 't', 'f':
		return d.boolInto(pos, v)
	default:
		return d.numberInto(pos, v)
	}
}
