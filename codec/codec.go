package codec

import (
	"errors"
	"math"
)

const (
	defaultDepth = 64
	defaultSize  = 16 << 20
	maxDepth     = 10_000 // what the stack of a goroutine holds with ease
)

// ErrTooDeep is wrapped by the error for a value or text that nests deeper
// than [Options.MaxDepth].
var ErrTooDeep = errors.New("nested too deep")

// ErrTooLarge is wrapped by the error for a value or text that takes more than
// [Options.MaxSize].
var ErrTooLarge = errors.New("too large")

// Options bound what is read and written. The zero value is what the package's
// functions use. Options may be copied and used concurrently.
type Options struct {
	// MaxDepth is how deep arrays and objects may nest, pointers followed
	// included. The default is 64, and 10,000 is the most.
	MaxDepth int

	// MaxSize bounds the bytes of text: of what is written, and of what is
	// read together with everything that its pointers expand to. The default
	// is 16 MiB, and 2 GiB is the most.
	MaxSize int

	// HoistArrays makes AppendMember write some arrays as extra members, see
	// [Options.AppendMember]. It is for browsers that run api-ape's own codec.
	HoistArrays bool
}

// Marshal returns v as JSS text. The error wraps [ErrTooDeep] or [ErrTooLarge]
// for a value beyond the default limits; a type that has no text, such as a
// func or a channel, is an error too.
func Marshal(v any) ([]byte, error) { return Options{}.Append(nil, v) }

// Append appends v as JSS text to dst. The text never holds a raw line feed.
// On an error it returns dst as it was.
func Append(dst []byte, v any) ([]byte, error) { return Options{}.Append(dst, v) }

// AppendMember appends v as a member of an enclosing object, such as
// "name<!D>":7, without a comma around it. It appends nothing for [Undefined],
// since such members are left out. Pointers inside v count their path from the
// enclosing object, which must be the root of the text. On an error it returns
// dst as it was.
func AppendMember(dst []byte, name string, v any) ([]byte, error) {
	return Options{}.AppendMember(dst, name, v)
}

// Unmarshal reads JSS text into v, a pointer that is not nil. Text that is not
// JSS is a [*SyntaxError] and leaves v alone; a value that does not fit is a
// [*TypeError], and v then holds what was read before it.
func Unmarshal(data []byte, v any) error { return Options{}.Unmarshal(data, v) }

// UnmarshalMember reads the member name, whatever its tag, of the object doc.
// Pointers count their path from doc. If doc has no such member, an any becomes
// [Undefined] and every other v stays as it is. Errors are those of
// [Unmarshal]; their paths begin with name.
func UnmarshalMember(doc []byte, name string, v any) error {
	return Options{}.UnmarshalMember(doc, name, v)
}

// Marshal is the package's [Marshal] within o.
func (o Options) Marshal(v any) ([]byte, error) { return o.Append(nil, v) }

// Append is the package's [Append] within o.
func (o Options) Append(dst []byte, v any) ([]byte, error) {
	return o.filled().write(dst, v)
}

// AppendMember is the package's [AppendMember] within o. With HoistArrays it
// may append several members, joined by commas: api-ape's clients cannot read
// the tags of an array inside an array when it holds more than one element, so
// such an array becomes a member named name$1, name$2 and so on, with a pointer
// in its place. The enclosing object must not use these names otherwise. A
// value with a cycle is written without hoisting.
func (o Options) AppendMember(dst []byte, name string, v any) ([]byte, error) {
	return o.filled().writeMember(dst, name, v)
}

// Unmarshal is the package's [Unmarshal] within o.
func (o Options) Unmarshal(data []byte, v any) error {
	return o.filled().read(data, v)
}

// UnmarshalMember is the package's [UnmarshalMember] within o.
func (o Options) UnmarshalMember(doc []byte, name string, v any) error {
	return o.filled().readMember(doc, name, v)
}

// filled returns o with its defaults. Positions in text are kept as int32,
// hence the upper bound.
func (o Options) filled() Options {
	if o.MaxDepth <= 0 {
		o.MaxDepth = defaultDepth
	}
	if o.MaxSize <= 0 {
		o.MaxSize = defaultSize
	}
	o.MaxDepth = min(o.MaxDepth, maxDepth)
	o.MaxSize = min(o.MaxSize, math.MaxInt32)
	return o
}
