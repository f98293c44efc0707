package codec

import (
	"bytes"
	"encoding/json"
	"reflect"
	"sync"
)

// A shape is what can be known of all values of a type: whether encoding/json
// writes them as this package would.
type shape struct {
	tags   bool // may hold a tagged value, or anything at all
	maps   bool // has keys that only a value knows
	floats bool
	opaque bool // has methods that write text of any depth
	depth  int
}

var shapes sync.Map // reflect.Type to shape

func shapeOf(t reflect.Type) shape {
	if s, ok := shapes.Load(t); ok {
		return s.(shape)
	}
	s := (&surveyor{done: map[reflect.Type]shape{}, open: map[reflect.Type]bool{}}).look(t)
	shapes.Store(t, s)
	return s
}

// A surveyor looks at a type and all that it holds, at each type once.
type surveyor struct {
	done map[reflect.Type]shape
	open map[reflect.Type]bool
}

func (s *surveyor) look(t reflect.Type) shape {
	if sh, ok := s.done[t]; ok {
		return sh
	}
	// A type that holds itself has values of any depth, and may have cycles.
	if s.open[t] {
		return shape{tags: true}
	}
	s.open[t] = true
	sh := s.lookInside(t)
	delete(s.open, t)
	s.done[t] = sh
	return sh
}

func (s *surveyor) lookInside(t reflect.Type) shape {
	pointer := reflect.PointerTo(t)
	switch {
	case taggedCoder(t) != nil, t.Kind() == reflect.Interface:
		return shape{tags: true}
	case t.Implements(marshalerType), pointer.Implements(marshalerType):
		return shape{opaque: true}
	case t.Implements(goErrorType):
		return shape{tags: true}
	case t.Implements(textMarshalerType), pointer.Implements(textMarshalerType):
		return shape{}
	}
	switch t.Kind() {
	case reflect.Float32, reflect.Float64:
		return shape{floats: true}
	case reflect.Pointer:
		return s.look(t.Elem())
	case reflect.Slice:
		if isBytes(t) {
			return shape{tags: true}
		}
		return s.look(t.Elem()).nested()
	case reflect.Array:
		return s.look(t.Elem()).nested()
	case reflect.Map:
		sh := s.look(t.Elem()).nested()
		sh.maps = true
		return sh
	case reflect.Struct:
		return s.lookAtFields(t)
	case reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return shape{tags: true} // not to be written: the other way has the better error
	}
	return shape{}
}

func (s *surveyor) lookAtFields(t reflect.Type) shape {
	var all shape
	for _, f := range fieldsOf(t).list {
		sh := s.look(f.typ)
		all.tags = all.tags || sh.tags || bytes.Contains([]byte(f.name), []byte(tagOpen))
		all.maps = all.maps || sh.maps
		all.floats = all.floats || sh.floats
		all.opaque = all.opaque || sh.opaque
		all.depth = max(all.depth, sh.depth)
	}
	return all.nested()
}

func (s shape) nested() shape {
	s.depth++
	return s
}

// jsonWriter is a json.Encoder that appends to a slice.
type jsonWriter struct {
	out []byte
	enc *json.Encoder
}

func (w *jsonWriter) Write(text []byte) (int, error) {
	w.out = append(w.out, text...)
	return len(text), nil
}

var jsonWriters = sync.Pool{New: func() any {
	w := new(jsonWriter)
	w.enc = json.NewEncoder(w)
	w.enc.SetEscapeHTML(false)
	return w
}}

// writePlain has encoding/json append v, if its type lets it. It returns false
// when it does not, or when the text turns out to be other than ours: then it
// is written again. That includes every error, so that there is one wording.
func (o Options) writePlain(dst []byte, v any) ([]byte, bool) {
	if v == nil {
		return append(dst, "null"...), true
	}
	sh := shapeOf(reflect.TypeOf(v))
	if sh.tags || sh.depth > o.MaxDepth {
		return nil, false
	}
	w := jsonWriters.Get().(*jsonWriter)
	w.out = dst
	err := w.enc.Encode(v)
	out := w.out
	w.out = nil
	jsonWriters.Put(w)
	if err != nil {
		return nil, false
	}
	out = out[:len(out)-1] // Encode ends with a line feed
	text := out[len(dst):]
	switch {
	case len(text) > o.MaxSize,
		sh.maps && bytes.Contains(text, []byte(tagOpen)),
		sh.floats && hasNegativeZero(text),
		sh.opaque && tooDeep(text, o.MaxDepth):
		return nil, false
	}
	return out, true
}

// hasNegativeZero looks for a -0 that is a whole number.
func hasNegativeZero(text []byte) bool {
	for {
		i := bytes.Index(text, []byte("-0"))
		if i < 0 {
			return false
		}
		text = text[i+2:]
		if len(text) == 0 || text[0] == ',' || text[0] == ']' || text[0] == '}' || text[0] == '"' {
			return true
		}
	}
}
