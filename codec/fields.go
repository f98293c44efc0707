package codec

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A field is a struct field that is written and read, under the rules of
// encoding/json.
type field struct {
	name      string
	named     bool // by its tag
	index     []int
	typ       reflect.Type
	omitEmpty bool
	omitZero  func(reflect.Value) bool // nil: never
	quoted    bool                     // option "string"
}

// fieldSet is all fields of a struct, in the order they are written in.
type fieldSet struct {
	list   []field
	exact  map[string]*field
	folded map[string]*field
}

var fieldSets sync.Map // reflect.Type to *fieldSet

func fieldsOf(t reflect.Type) *fieldSet {
	if set, ok := fieldSets.Load(t); ok {
		return set.(*fieldSet)
	}
	set, _ := fieldSets.LoadOrStore(t, newFieldSet(t))
	return set.(*fieldSet)
}

// find returns the field that takes the member name, or nil.
func (s *fieldSet) find(name []byte) *field {
	if f := s.exact[string(name)]; f != nil {
		return f
	}
	var room [64]byte
	return s.folded[string(appendFolded(room[:0], name))]
}

func newFieldSet(t reflect.Type) *fieldSet {
	all := collectFields(t)
	slices.SortFunc(all, func(a, b field) int {
		return cmp.Or(
			strings.Compare(a.name, b.name),
			cmp.Compare(len(a.index), len(b.index)),
			namedFirst(a, b),
			slices.Compare(a.index, b.index),
		)
	})
	set := &fieldSet{exact: map[string]*field{}, folded: map[string]*field{}}
	for i := 0; i < len(all); {
		same := i + 1
		for same < len(all) && all[same].name == all[i].name {
			same++
		}
		// Two fields that are equally near and equally named hide each other.
		if same == i+1 || len(all[i].index) != len(all[i+1].index) || all[i].named != all[i+1].named {
			set.list = append(set.list, all[i])
		}
		i = same
	}
	slices.SortFunc(set.list, func(a, b field) int { return slices.Compare(a.index, b.index) })
	for i := range set.list {
		f := &set.list[i]
		set.exact[f.name] = f
		folded := string(appendFolded(nil, []byte(f.name)))
		if set.folded[folded] == nil {
			set.folded[folded] = f
		}
	}
	return set
}

func namedFirst(a, b field) int {
	switch {
	case a.named == b.named:
		return 0
	case a.named:
		return -1
	}
	return 1
}

// collectFields returns the fields of t and of the structs embedded in it, one
// level of embedding after the other.
func collectFields(t reflect.Type) []field {
	type level struct {
		typ   reflect.Type
		index []int
		twice bool // embedded more than once on this level
	}
	var all []field
	visited := map[reflect.Type]bool{}
	for now := []level{{typ: t}}; len(now) > 0; {
		var next []level
		for _, l := range now {
			if visited[l.typ] {
				continue
			}
			visited[l.typ] = true
			for i := range l.typ.NumField() {
				f, embedded, ok := newField(l.typ.Field(i), append(slices.Clone(l.index), i))
				switch {
				case !ok:
				case embedded == nil:
					all = append(all, f)
					if l.twice {
						all = append(all, f) // so that they hide each other
					}
				default:
					at := slices.IndexFunc(next, func(n level) bool { return n.typ == embedded })
					if at < 0 {
						next = append(next, level{typ: embedded, index: f.index})
					} else {
						next[at].twice = true
					}
				}
			}
		}
		now = next
	}
	return all
}

// newField returns the field for sf. For an embedded struct whose fields count
// as the outer struct's own it returns that struct's type.
func newField(sf reflect.StructField, index []int) (f field, embedded reflect.Type, ok bool) {
	inner := sf.Type
	if inner.Name() == "" && inner.Kind() == reflect.Pointer {
		inner = inner.Elem()
	}
	if !sf.IsExported() && (!sf.Anonymous || inner.Kind() != reflect.Struct) {
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
	f = field{name: cmp.Or(name, sf.Name), named: name != "", index: index, typ: sf.Type}
	if sf.Anonymous && name == "" && inner.Kind() == reflect.Struct {
		return f, inner, true
	}
	for option := range strings.SplitSeq(rest, ",") {
		switch option {
		case "omitempty":
			f.omitEmpty = true
		case "omitzero":
			f.omitZero = zeroTest(sf.Type)
		case "string":
			f.quoted = isScalar(inner.Kind())
		}
	}
	return f, nil, true
}

// isScalar reports whether the option "string" means something for a kind.
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

type zeroer interface{ IsZero() bool }

// zeroTest returns what the option "omitzero" asks: the type's own IsZero where
// there is one.
func zeroTest(t reflect.Type) func(reflect.Value) bool {
	has := reflect.TypeFor[zeroer]()
	switch {
	case t.Implements(has):
		return func(v reflect.Value) bool {
			if k := v.Kind(); k == reflect.Pointer || k == reflect.Interface {
				if v.IsNil() || k == reflect.Interface && v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil() {
					return true
				}
			}
			return v.Interface().(zeroer).IsZero()
		}
	case reflect.PointerTo(t).Implements(has):
		return func(v reflect.Value) bool { return addressable(v).Addr().Interface().(zeroer).IsZero() }
	}
	return reflect.Value.IsZero
}

// addressable returns v, or a copy of it that has an address.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	box := reflect.New(v.Type()).Elem()
	box.Set(v)
	return box
}

// isEmpty is what the option "omitempty" asks.
func isEmpty(v reflect.Value) bool {
	switch k := v.Kind(); k {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Interface, reflect.Pointer:
		return v.IsNil()
	default:
		return isScalar(k) && v.IsZero()
	}
}

// appendFolded appends name so that two names fold to the same bytes exactly
// when they differ in case only.
func appendFolded(dst, name []byte) []byte {
	for i := 0; i < len(name); {
		c := name[i]
		if c < utf8.RuneSelf {
			if c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(name[i:])
		for folded := unicode.SimpleFold(r); ; folded = unicode.SimpleFold(folded) {
			if folded <= r {
				r = folded
				break
			}
			r = folded
		}
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return dst
}
