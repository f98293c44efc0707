package typescript

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// A field is a struct field that is written, under the rules of encoding/json.
type field struct {
	name     string
	named    bool // by its tag
	index    []int
	owner    reflect.Type // the struct that declares it
	goName   string
	typ      reflect.Type
	optional bool // may be missing
	never    bool // is not null: it is left out then
	quoted   bool // option "string"
}

// fieldsOf returns the fields of a struct and those of the structs embedded in
// it, in the order in which they are written.
func fieldsOf(t reflect.Type) []field {
	all := collect(t)
	slices.SortFunc(all, func(a, b field) int {
		return cmp.Or(
			strings.Compare(a.name, b.name),
			cmp.Compare(len(a.index), len(b.index)),
			first(a.named, b.named),
			slices.Compare(a.index, b.index),
		)
	})
	var list []field
	for i := 0; i < len(all); {
		next := i + 1
		for next < len(all) && all[next].name == all[i].name {
			next++
		}
		// Two fields that are equally near and equally named hide each other.
		if next == i+1 || len(all[i].index) != len(all[i+1].index) || all[i].named != all[i+1].named {
			list = append(list, all[i])
		}
		i = next
	}
	slices.SortFunc(list, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return list
}

// first orders what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// embedded is a struct whose fields count as those of the struct around it.
type embedded struct {
	typ     reflect.Type
	index   []int
	twice   bool // embedded more than once at this depth
	pointer bool // or something above it: a nil one has no fields
}

// collect walks through the embedded structs, one depth after the other.
func collect(t reflect.Type) []field {
	var all []field
	visited := map[reflect.Type]bool{}
	for now := []embedded{{typ: t}}; len(now) > 0; {
		var next []embedded
		for _, e := range now {
			if visited[e.typ] {
				continue
			}
			visited[e.typ] = true
			for i := range e.typ.NumField() {
				sf := e.typ.Field(i)
				f, inner, ok := newField(sf)
				if !ok {
					continue
				}
				f.index, f.owner = append(slices.Clone(e.index), i), e.typ
				f.optional = f.optional || e.pointer
				if inner == nil {
					all = append(all, f)
					if e.twice {
						all = append(all, f) // so that they hide each other
					}
					continue
				}
				at := slices.IndexFunc(next, func(n embedded) bool { return n.typ == inner })
				if at >= 0 {
					next[at].twice = true
					continue
				}
				pointer := e.pointer || sf.Type.Kind() == reflect.Pointer
				next = append(next, embedded{typ: inner, index: f.index, pointer: pointer})
			}
		}
		now = next
	}
	return all
}

// newField reads a field's tag. For an embedded struct whose fields count as
// the outer struct's own it returns that struct's type.
func newField(sf reflect.StructField) (f field, inner reflect.Type, ok bool) {
	behind := sf.Type
	if behind.Name() == "" && behind.Kind() == reflect.Pointer {
		behind = behind.Elem()
	}
	if !sf.IsExported() && (!sf.Anonymous || behind.Kind() != reflect.Struct) {
		return f, nil, false
	}
	tag := sf.Tag.Get("json")
	if tag == "-" {
		return f, nil, false
	}
	name, rest, _ := strings.Cut(tag, ",")
	if !isFieldName(name) {
		name = ""
	}
	f = field{name: cmp.Or(name, sf.Name), named: name != "", goName: sf.Name, typ: sf.Type}
	if sf.Anonymous && name == "" && behind.Kind() == reflect.Struct {
		return f, behind, true
	}
	for option := range strings.SplitSeq(rest, ",") {
		switch option {
		case "omitempty":
			f.optional = f.optional || canBeEmpty(sf.Type)
			f.never = f.never || canBeEmpty(sf.Type)
		case "omitzero":
			f.optional = true
			f.never = f.never || zeroIsNil(sf.Type)
		case "string":
			f.quoted = isScalar(behind.Kind()) && !writesItself(behind)
		}
	}
	return f, nil, true
}

// canBeEmpty reports whether the option omitempty means something for a type.
func canBeEmpty(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() == 0
	case reflect.Map, reflect.Slice, reflect.Interface, reflect.Pointer:
		return true
	}
	return isScalar(t.Kind())
}

// zeroIsNil reports whether the option omitzero leaves out nil: a slice or map
// may have an IsZero of its own that says something else.
func zeroIsNil(t reflect.Type) bool {
	if k := t.Kind(); k != reflect.Slice && k != reflect.Map {
		return true
	}
	return !reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ IsZero() bool }]())
}

// isScalar reports whether the option string means something for a kind.
func isScalar(k reflect.Kind) bool {
	return k >= reflect.Bool && k <= reflect.Float64 || k == reflect.String
}

// isFieldName reports whether a tag's name is one that encoding/json takes.
func isFieldName(name string) bool {
	for _, c := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return name != ""
}
