package codec

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"time"
)

func writeNull(e *encoder) error {
	e.out = append(e.out, "null"...)
	return nil
}

func writeBool(e *encoder, v reflect.Value) error {
	e.out = appendBool(e.out, v.Bool())
	return nil
}

func writeInt(e *encoder, v reflect.Value) error {
	e.out = strconv.AppendInt(e.out, v.Int(), 10)
	return nil
}

func writeUint(e *encoder, v reflect.Value) error {
	e.out = strconv.AppendUint(e.out, v.Uint(), 10)
	return nil
}

func writeFloat(e *encoder, v reflect.Value) error {
	e.out = appendFloat(e.out, v.Float(), v.Type().Bits())
	return nil
}

func writeString(e *encoder, v reflect.Value) error {
	e.out = appendQuoted(e.out, v.String())
	return nil
}

// writeNumber writes a json.Number; an empty one is 0.
func writeNumber(e *encoder, v reflect.Value) error {
	text := cmp.Or(v.String(), "0")
	if !isNumber([]byte(text)) {
		return fmt.Errorf("codec: the json.Number %q is not a number", shown(text))
	}
	e.out = append(e.out, text...)
	return nil
}

func isNumber(text []byte) bool {
	_, err := check(text, 0, false)
	return err == nil && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') && text[len(text)-1] >= '0'
}

func writeInterface(e *encoder, v reflect.Value) error {
	if v.IsNil() {
		return writeNull(e)
	}
	if err := e.hop(); err != nil {
		return err
	}
	defer e.unhop()
	if v.NumMethod() == 0 {
		return e.value(v.Interface())
	}
	return e.reflected(v.Elem())
}

// writeMarshaler takes the text of a type's own method as it is, without white
// space, within the limits.
func writeMarshaler(e *encoder, v reflect.Value) error {
	text, err := v.Interface().(json.Marshaler).MarshalJSON()
	if err != nil {
		return fmt.Errorf("codec: write %s: %w", v.Type(), err)
	}
	if tooDeep(text, e.MaxDepth-e.depth) {
		return depthError(e.MaxDepth)
	}
	buf := bytes.NewBuffer(e.out)
	if err := json.Compact(buf, text); err != nil {
		return fmt.Errorf("codec: write %s: its MarshalJSON: %w", v.Type(), err)
	}
	e.out = buf.Bytes()
	return nil
}

func writeText(e *encoder, v reflect.Value) error {
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return fmt.Errorf("codec: write %s: %w", v.Type(), err)
	}
	e.out = appendQuoted(e.out, text)
	return nil
}

// writeBytes writes base64.
func writeBytes(e *encoder, v reflect.Value) error {
	if v.IsNil() {
		return writeNull(e)
	}
	e.out = append(e.out, '"')
	e.out = base64.StdEncoding.AppendEncode(e.out, v.Bytes())
	e.out = append(e.out, '"')
	e.tag('I')
	return nil
}

// taggedCoder returns the coder of the types that always have a tag, else nil.
func taggedCoder(t reflect.Type) coder {
	switch t {
	case timeType:
		return writeTime
	case reflect.PointerTo(timeType): // which has the methods of time.Time
		return pointerCoder(t)
	case reflect.PointerTo(regexpType):
		return nilOr(t, func(e *encoder, v reflect.Value) error {
			return e.regexp(regExpOf(v.Interface().(*regexp.Regexp)))
		})
	case regexpType:
		return func(e *encoder, v reflect.Value) error {
			return e.regexp(regExpOf(addressable(v).Addr().Interface().(*regexp.Regexp)))
		}
	case regExpType:
		return func(e *encoder, v reflect.Value) error { return e.regexp(v.Interface().(RegExp)) }
	case errorType:
		return func(e *encoder, v reflect.Value) error { return e.error(v.Interface().(Error)) }
	case setType:
		return writeSet
	case mapType:
		return writeMap
	case undefinedType:
		return func(e *encoder, _ reflect.Value) error {
			e.missing = true
			return writeNull(e)
		}
	}
	return nil
}

// writeTime writes milliseconds; inside a Set or Map, where nothing would tell
// them from a number, the text that JavaScript writes there. A time that no
// Date can hold is null, an invalid Date.
func writeTime(e *encoder, v reflect.Value) error {
	t := v.Interface().(time.Time)
	ms := t.UnixMilli()
	switch {
	case math.Abs(float64(t.Unix())) > maxDate/1000:
		e.out = append(e.out, "null"...)
	case e.raw > 0:
		e.out = t.UTC().AppendFormat(e.out, `"2006-01-02T15:04:05.000Z"`)
	default:
		e.out = strconv.AppendInt(e.out, ms, 10)
	}
	e.tag('D')
	return nil
}

func (e *encoder) regexp(r RegExp) error {
	e.out = appendQuoted(e.out, r.String())
	e.tag('R')
	return nil
}

// writeGoError writes any error; only an Error knows a name and a stack.
func writeGoError(e *encoder, v reflect.Value) error {
	if err, ok := v.Interface().(*Error); ok {
		return e.error(*err)
	}
	return e.error(Error{Message: v.Interface().(error).Error()})
}

func (e *encoder) error(err Error) error {
	e.out = append(e.out, '[')
	e.out = appendQuoted(e.out, cmp.Or(err.Name, "Error"))
	e.out = append(e.out, ',')
	e.out = appendQuoted(e.out, err.Message)
	if err.Stack != "" {
		e.out = append(e.out, ',')
		e.out = appendQuoted(e.out, err.Stack)
	}
	e.out = append(e.out, ']')
	e.tag('E')
	return nil
}

func writeSet(e *encoder, v reflect.Value) error {
	set := v.Interface().(Set)
	if set == nil {
		set = Set{}
	}
	e.raw++
	err := e.tracked(v, func(e *encoder, _ reflect.Value) error { return e.array([]any(set)) })
	e.raw--
	e.tag('S')
	return err
}

func writeMap(e *encoder, v reflect.Value) error {
	m := v.Interface().(Map)
	if m == nil {
		m = Map{}
	}
	e.raw++
	err := e.tracked(v, func(e *encoder, _ reflect.Value) error { return e.object(m) })
	e.raw--
	e.tag('M')
	return err
}

// mapCoder writes maps as encoding/json does: sorted by what their keys are as
// text.
func mapCoder(t reflect.Type) coder {
	if t == reflect.TypeFor[map[string]any]() {
		return func(e *encoder, v reflect.Value) error { return e.object(v.Interface().(map[string]any)) }
	}
	name := keyNamer(t.Key())
	if name == nil {
		return func(*encoder, reflect.Value) error {
			return fmt.Errorf("codec: a %s cannot be written: its keys are neither strings nor integers and have no MarshalText method", t)
		}
	}
	elem := coderOf(t.Elem())
	content := func(e *encoder, v reflect.Value) error { return e.mapMembers(v, name, elem) }
	return func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			return writeNull(e)
		}
		return e.tracked(v, content)
	}
}

func (e *encoder) mapMembers(v reflect.Value, name keyName, elem coder) error {
	if err := e.enter(); err != nil {
		return err
	}
	type pair struct {
		name  string
		value reflect.Value
	}
	pairs := make([]pair, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		key, err := name(it.Key())
		if err != nil {
			return err
		}
		pairs = append(pairs, pair{key, it.Value()})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.name, b.name) })
	e.out = append(e.out, '{')
	first := true
	for _, p := range pairs {
		if err := e.room(); err != nil {
			return err
		}
		m := e.open(p.name, first)
		if err := elem(e, p.value); err != nil {
			return err
		}
		first = !e.close(m) && first
	}
	e.out = append(e.out, '}')
	e.leave()
	return nil
}

// A keyName returns the text of a map key.
type keyName func(reflect.Value) (string, error)

// keyNamer returns the keyName for a key type, nil if it cannot be a key.
func keyNamer(t reflect.Type) keyName {
	switch k := t.Kind(); {
	case k == reflect.String:
		return func(v reflect.Value) (string, error) { return v.String(), nil }
	case t.Implements(textMarshalerType):
		return func(v reflect.Value) (string, error) {
			if v.Kind() == reflect.Pointer && v.IsNil() {
				return "", nil
			}
			text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
			if err != nil {
				err = fmt.Errorf("codec: write the key of a map: %w", err)
			}
			return string(text), err
		}
	case k >= reflect.Int && k <= reflect.Int64:
		return func(v reflect.Value) (string, error) { return strconv.FormatInt(v.Int(), 10), nil }
	case k >= reflect.Uint && k <= reflect.Uintptr:
		return func(v reflect.Value) (string, error) { return strconv.FormatUint(v.Uint(), 10), nil }
	}
	return nil
}
