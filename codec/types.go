package codec

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// Set is a JavaScript Set: its values in order. The codec neither looks for
// equal values nor removes them.
type Set []any

// Map is a JavaScript Map. It is a plain Go map, so that it can be indexed and
// ranged over; JSON object keys are strings, hence so are its keys. The order
// of a JavaScript Map is not kept: it is written sorted by key.
type Map map[string]any

// UndefinedType is the type of [Undefined].
type UndefinedType struct{}

// Undefined is JavaScript's undefined. A member that is Undefined is left out;
// in an array it keeps its place. The type has this one value only.
var Undefined UndefinedType

// String returns "undefined".
func (UndefinedType) String() string { return "undefined" }

// Error is a JavaScript error. Any Go error is written as one: its name is
// "Error", its message is the text of the error, and it has no stack.
type Error struct {
	Name    string // such as "TypeError"; empty is written as "Error"
	Message string
	Stack   string // written only when it is not empty
}

// Error returns the message, after the name where that says more than "Error".
func (e *Error) Error() string {
	if e.Name == "" || e.Name == "Error" {
		return e.Message
	}
	return e.Name + ": " + e.Message
}

// RegExp is a JavaScript regular expression as it was written. It need not
// compile in Go.
type RegExp struct {
	Source string // without the slashes
	Flags  string // such as "gi"
}

// The flags of a JavaScript regular expression, and those of them that Go's
// regexp has too.
const (
	regexpFlags   = "dgimsuvy"
	regexpGoFlags = "ims"
)

// String returns the expression as JavaScript writes it, such as /ab+/gi.
func (r RegExp) String() string {
	source := r.Source
	if source == "" {
		source = "(?:)"
	}
	return "/" + source + "/" + r.Flags
}

// Compile returns r as a Go regular expression. The flags i, m and s are kept.
// The others change how an expression is used, not what it matches, and are
// dropped. What Go's syntax does not have, such as a look-ahead, is an error.
func (r RegExp) Compile() (*regexp.Regexp, error) {
	var flags strings.Builder
	for _, flag := range regexpGoFlags {
		if strings.ContainsRune(r.Flags, flag) {
			flags.WriteRune(flag)
		}
	}
	if flags.Len() == 0 {
		return regexp.Compile(r.Source)
	}
	return regexp.Compile("(?" + flags.String() + ")" + r.Source)
}

// parseRegExp reads the text of a tagged expression. Text that is not between
// slashes with flags behind them is all source, as it is in JavaScript.
func parseRegExp(text string) RegExp {
	end := strings.LastIndexByte(text, '/')
	if end < 1 || text[0] != '/' || strings.Trim(text[end+1:], regexpFlags) != "" {
		return RegExp{Source: text}
	}
	return RegExp{Source: text[1:end], Flags: text[end+1:]}
}

// regExpOf returns a Go expression for JavaScript: flags in front, which only
// Go can read, become flags behind.
func regExpOf(re *regexp.Regexp) RegExp {
	source := re.String()
	if rest, ok := strings.CutPrefix(source, "(?"); ok {
		flags, body, closed := strings.Cut(rest, ")")
		if closed && flags != "" && strings.Trim(flags, regexpGoFlags) == "" {
			return RegExp{Source: body, Flags: flags}
		}
	}
	return RegExp{Source: source}
}

// The farthest a JavaScript Date reaches from 1970, in milliseconds.
const maxDate = 8.64e15

var errDate = errors.New("a date is a number of milliseconds within 8.64e15, or RFC 3339 text")

var (
	timeType      = reflect.TypeFor[time.Time]()
	regexpType    = reflect.TypeFor[regexp.Regexp]()
	regExpType    = reflect.TypeFor[RegExp]()
	setType       = reflect.TypeFor[Set]()
	mapType       = reflect.TypeFor[Map]()
	errorType     = reflect.TypeFor[Error]()
	undefinedType = reflect.TypeFor[UndefinedType]()
	anyType       = reflect.TypeFor[any]()
)
