package typescript

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goape/ape/codec"
)

// maxTuple is the longest array that is declared as a tuple.
const maxTuple = 8

// An expr is the text of a type.
type expr struct {
	text string
	null bool // null may stand in its place
}

// String returns the text with null beside it.
func (e expr) String() string {
	if e.null && e.text != "any" && e.text != "null" {
		return e.text + " | null"
	}
	return e.text
}

// element returns the text in front of [].
func (e expr) element() string {
	if text := e.String(); text != e.text {
		return "(" + text + ")"
	}
	return e.text
}

// of returns what t is in a browser. A type that has a declaration of its own
// is referred to.
func (p *printer) of(t reflect.Type) (expr, error) {
	if e, ok := fixed(t); ok {
		return e, nil
	}
	values, err := p.closedSet(t)
	if err != nil {
		return expr{}, err
	}
	if values != nil {
		return expr{text: p.refer(t)}, nil
	}
	if t.Kind() == reflect.Pointer && t.Name() == "" {
		if set, err := p.closedSet(t.Elem()); err != nil || set != nil {
			return expr{text: p.refer(t.Elem()), null: true}, err
		}
	}
	if e, ok := byMethods(t); ok {
		return e, nil
	}
	if isNamed(t) && isComposite(t.Kind()) {
		if leadsToItself(t) {
			return expr{text: "null"}, nil
		}
		return expr{text: p.refer(t), null: isNilable(t.Kind())}, nil
	}
	return p.kind(t)
}

// refer returns a reference to the declaration of t, which will be written.
func (p *printer) refer(t reflect.Type) string {
	n, ok := p.numbers[t]
	if !ok {
		n = len(p.types)
		p.numbers[t] = n
		p.types = append(p.types, t)
		p.users = append(p.users, p.user)
	}
	return mark + strconv.Itoa(n) + mark
}

// kind returns what t is by its kind alone.
func (p *printer) kind(t reflect.Type) (expr, error) {
	switch k := t.Kind(); k {
	case reflect.Bool:
		return expr{text: "boolean"}, nil
	case reflect.String:
		return expr{text: "string"}, nil
	case reflect.Struct:
		return p.object(t)
	case reflect.Map:
		return p.dictionary(t)
	case reflect.Slice:
		if isBytes(t) {
			return expr{text: "Uint8Array", null: true}, nil
		}
		elem, err := p.of(t.Elem())
		return expr{text: elem.element() + "[]", null: true}, err
	case reflect.Array:
		return p.array(t)
	case reflect.Pointer:
		if leadsToItself(t) {
			return expr{text: "null"}, nil
		}
		elem, err := p.of(t.Elem())
		elem.null = true
		return elem, err
	default:
		if isScalar(k) {
			return expr{text: "number"}, nil
		}
	}
	return expr{}, fmt.Errorf("a %s cannot be written: give the field the tag `json:\"-\"`, or the type a MarshalJSON method", t)
}

func (p *printer) array(t reflect.Type) (expr, error) {
	elem, err := p.of(t.Elem())
	if err != nil || t.Len() > maxTuple {
		return expr{text: elem.element() + "[]"}, err
	}
	list := make([]string, t.Len())
	for i := range list {
		list[i] = elem.String()
	}
	return expr{text: "[" + strings.Join(list, ", ") + "]"}, nil
}

// dictionary is a map. Its keys are always text.
func (p *printer) dictionary(t reflect.Type) (expr, error) {
	elem, err := p.of(t.Elem())
	if err != nil {
		return expr{}, err
	}
	key := t.Key()
	if !isKey(key) {
		return expr{}, fmt.Errorf("a %s cannot be written: its keys are neither strings nor integers and have no MarshalText method", t)
	}
	if key.Kind() == reflect.String && !writesItself(key) {
		name, err := p.of(key)
		if err != nil {
			return expr{}, err
		}
		if name.text != "string" {
			return expr{text: "{ [key in " + name.text + "]?: " + elem.String() + " }", null: true}, nil
		}
	}
	return expr{text: "{ [key: string]: " + elem.String() + " }", null: true}, nil
}

// object is a struct without a name.
func (p *printer) object(t reflect.Type) (expr, error) {
	members, err := p.members(t)
	if err != nil {
		return expr{}, err
	}
	if len(members) == 0 {
		return expr{text: "Record<string, never>"}, nil
	}
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = m.key + ": " + m.text
	}
	return expr{text: "{ " + strings.Join(list, "; ") + " }"}, nil
}

// members returns the members of a struct.
func (p *printer) members(t reflect.Type) ([]member, error) {
	var list []member
	for _, f := range fieldsOf(t) {
		e, err := p.of(f.typ)
		if err != nil {
			return nil, inField(err, f)
		}
		if f.quoted {
			e = expr{text: "string", null: e.null}
		}
		e.null = e.null && !f.never
		key := property(f.name)
		if f.optional || e.text == "undefined" {
			key += "?"
		}
		list = append(list, member{p.src.FieldDoc(f.owner, f.goName), key, e.String()})
	}
	return list, nil
}

// fieldError says which field cannot be written.
type fieldError struct {
	field string
	whole bool // field begins with the name of a type
	err   error
}

func (e *fieldError) Error() string { return e.field + ": " + e.err.Error() }

// inField puts a field's name in front of an error, up to the first struct that
// has a name: there is the place to change.
func inField(err error, f field) error {
	e, ok := err.(*fieldError)
	if !ok {
		e = &fieldError{f.goName, false, err}
	} else if !e.whole {
		e.field = f.goName + "." + e.field
	}
	if !e.whole && f.owner.Name() != "" {
		e.field, e.whole = f.owner.String()+"."+e.field, true
	}
	return e
}

var (
	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	goError         = reflect.TypeFor[error]()
)

// fixed returns what the codec has a tag of its own for, and what has no type
// in TypeScript.
func fixed(t reflect.Type) (e expr, ok bool) {
	pointer := t.Kind() == reflect.Pointer && t.Name() == ""
	if pointer {
		if e, ok = fixed(t.Elem()); ok && e.text != "any" {
			e.null = true
			return e, true
		}
		return expr{}, false
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return expr{text: "Date"}, true
	case reflect.TypeFor[regexp.Regexp](), reflect.TypeFor[codec.RegExp]():
		return expr{text: "RegExp"}, true
	case reflect.TypeFor[codec.Error]():
		return expr{text: "Error"}, true
	case goError:
		return expr{text: "Error", null: true}, true
	case reflect.TypeFor[codec.Set]():
		return expr{text: "Set<any>"}, true
	case reflect.TypeFor[codec.Map]():
		return expr{text: "Map<string, any>"}, true
	case reflect.TypeFor[codec.UndefinedType]():
		return expr{text: "undefined"}, true
	case reflect.TypeFor[json.Number]():
		return expr{text: "number"}, true
	}
	return expr{text: "any"}, t.Kind() == reflect.Interface
}

// byMethods returns what types are that write or read themselves. Where a type
// does only one of both the other one goes by its kind; any is right for both.
func byMethods(t reflect.Type) (e expr, ok bool) {
	pointer := t.Kind() == reflect.Pointer
	address := t
	if !pointer {
		address = reflect.PointerTo(t)
	}
	switch {
	case address.Implements(jsonMarshaler), address.Implements(jsonUnmarshaler):
		return expr{text: "any"}, true
	case t.Implements(goError):
		return expr{text: "Error", null: pointer}, true
	case t.Implements(textMarshaler):
		return expr{text: "string", null: pointer}, true
	case pointer: // what it points to decides
	case address.Implements(textMarshaler), address.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		if t.Kind() == reflect.String {
			return expr{text: "string"}, true
		}
		return expr{text: "any"}, true
	}
	return expr{}, false
}

// writesItself reports whether the option string, and closed sets as keys, do
// not concern a type.
func writesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(jsonMarshaler) || p.Implements(textMarshaler) || p.Implements(goError)
}

// isKey reports whether a type can be the key of a map.
func isKey(t reflect.Type) bool {
	k := t.Kind()
	return k == reflect.String || t.Implements(textMarshaler) || k >= reflect.Int && k <= reflect.Uintptr
}

// isBytes reports whether a slice is written as bytes.
func isBytes(t reflect.Type) bool {
	p := reflect.PointerTo(t.Elem())
	return t.Elem().Kind() == reflect.Uint8 && !p.Implements(jsonMarshaler) && !p.Implements(textMarshaler)
}

// isNamed reports whether a type was declared by a program.
func isNamed(t reflect.Type) bool { return t.Name() != "" && t.PkgPath() != "" }

// isComposite reports whether named types of a kind have declarations: those
// that are large, or can hold themselves.
func isComposite(k reflect.Kind) bool {
	return k == reflect.Struct || k == reflect.Array || isNilable(k)
}

func isNilable(k reflect.Kind) bool {
	return k == reflect.Pointer || k == reflect.Slice || k == reflect.Map
}

// leadsToItself reports whether t is a pointer to pointers only.
func leadsToItself(t reflect.Type) bool {
	seen := map[reflect.Type]bool{}
	for ; t.Kind() == reflect.Pointer; t = t.Elem() {
		if seen[t] {
			return true
		}
		seen[t] = true
	}
	return false
}
