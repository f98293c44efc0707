package codec

import (
	"reflect"
	"strconv"
	"strings"
)

// SyntaxError is the error for text that is not JSON.
type SyntaxError struct {
	Offset int    // bytes before the place where reading stopped
	Reason string // such as "want a comma or the end of the array"
}

// Error returns the reason and the place.
func (e *SyntaxError) Error() string {
	return "codec: invalid text at byte " + strconv.Itoa(e.Offset) + ": " + e.Reason
}

// TypeError is the error for a value that does not fit its Go value.
type TypeError struct {
	Path string // the place in the value, such as users[2].age; empty for the whole
	Want string // what fits, such as "a number"
	Got  string // what the text holds, such as "a string"
	Err  error  // the cause, where a type's own method refused the value, else nil
}

// Error returns a sentence such as
// "codec: users[2].age: want a number, got a string".
func (e *TypeError) Error() string {
	var b strings.Builder
	b.WriteString("codec: ")
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	b.WriteString("want " + e.Want + ", got " + e.Got)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *TypeError) Unwrap() error { return e.Err }

// maxShown bounds what an error repeats of its input.
const maxShown = 64

// shown returns text, cut to a length that suits an error.
func shown(text string) string {
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "…"
}

// inMember adds the name of the member to a TypeError on its way out.
func inMember(err error, name string) error {
	if !isPlainName(name) {
		return within(err, "["+strconv.Quote(shown(name))+"]")
	}
	return within(err, shown(name))
}

// inElement adds the index of the element to a TypeError on its way out.
func inElement(err error, index int) error {
	return within(err, "["+strconv.Itoa(index)+"]")
}

func within(err error, step string) error {
	t, ok := err.(*TypeError)
	if !ok {
		return err
	}
	if t.Path != "" && t.Path[0] != '[' {
		step += "."
	}
	t.Path = step + t.Path
	return t
}

// isPlainName reports whether a name can stand in a path without quotes.
func isPlainName(name string) bool {
	for _, c := range name {
		switch {
		case c == '_', c == '-', c == '$', c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		default:
			return false
		}
	}
	return name != ""
}

// wanted says in words what fits t.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case timeType:
		return "a date"
	case regexpType, regExpType:
		return "a regular expression"
	case goErrorType:
		return "an error (a member tagged <!E>)"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint, reflect.Uintptr:
		return "a whole number (" + t.Kind().String() + ")"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Array:
		return "an array"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "base64 text"
		}
		return "an array"
	}
	return "a value for the Go type " + t.String()
}
