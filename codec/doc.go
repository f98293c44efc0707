// Package codec turns Go values into JSS text and back.
//
// JSS is JSON whose object keys may carry a type tag, so that values which
// JSON cannot name survive the journey to a browser and back:
//
//	{"createdAt<!D>":1795168201198,"tags<!S>":["a","b"],"days<![D,]>":[7,1]}
//
// The package is used like encoding/json, and it follows that package's field
// tags and rules:
//
//	type Event struct {
//		Name string    `json:"name"`
//		At   time.Time `json:"at"`
//	}
//	text, err := codec.Marshal(Event{"start", time.UnixMilli(7)}) // {"name":"start","at<!D>":7}
//	err = codec.Unmarshal(text, &event)
//
// # Types
//
//	tag      Go value written           Go value read into an any
//	D        time.Time                  time.Time, UTC, whole milliseconds
//	R        *regexp.Regexp, RegExp     RegExp
//	E        error                      *Error
//	S        Set                        Set
//	M        Map                        Map
//	U        Undefined                  Undefined
//	I        []byte                     []byte
//	P        a value inside itself      the same map or slice
//	[D,,S]   a slice with such elements []any
//
// Read into any other type, the tag says how to read the text, and the text
// must fit: a date fits time.Time, and its milliseconds fit an int64. Other
// tags are dropped and their value is kept. A time.Time also takes RFC 3339
// text, but never a bare number.
//
// What a Set or a Map holds carries no tags, because browsers read none there:
// dates inside are text, and a cycle inside is an error. A pointer is written
// only for a cycle; a value that is merely used twice is written twice. Reading
// a pointer into a typed value reads the text it points to once more.
//
// As in JavaScript NaN and the infinities become null and -0 becomes 0.
// Integers are written with all their digits; a browser keeps 53 bits of them.
// A nil is null, a nil Set or Map is empty. Members that are [Undefined] are
// left out. A json.Marshaler's text is taken as it is.
//
// A tagged value that is not a member of anything has no key for its tag. It is
// written as an object whose only key is the tag: {"<!D>":7}. Keys of the
// caller's own that hold "<!" get the tag "<!_>", which means nothing and is
// taken off again. Where the value under an empty key has a tag, the key is
// written as "<!_>", so that the tag has something to stand behind.
//
// # Cost and safety
//
// Types that cannot hold a tagged value are written by encoding/json, and so is
// text without tags read by it. All else takes one pass without regular
// expressions. Depth and size are bounded both ways, see [Options]; what
// hostile text can cost is linear in the size limit.
//
// All functions may be called concurrently. A value must not change while it is
// being written.
package codec
