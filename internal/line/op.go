package line

// Op is what a line does. Its value is the letter that stands on the wire; 0 is no op that this version knows.
type Op byte

// The ops of ape.1. The first five are not counted.
const (
	Hello       Op = 'h' // h {…}
	Welcome     Op = 'w' // w {…}
	Ack         Op = 'a' // a count
	Ping        Op = 'p' // p
	Quit        Op = 'q' // q {…}
	Call        Op = 'c' // c id path [payload]
	Answer      Op = 'r' // r id [payload]
	Fail        Op = 'e' // e id {…}
	Cancel      Op = 'x' // x id [payload]
	Item        Op = 'n' // n id [payload]
	End         Op = 'z' // z id
	Credit      Op = 'g' // g id count
	Subscribe   Op = 's' // s id channel [payload]
	Unsubscribe Op = 'u' // u id channel [payload]
	Event       Op = 'm' // m event [payload]
	Message     Op = 'b' // b channel [payload]
)

// String is the op as it stands on the wire, "?" for 0.
func (o Op) String() string {
	if o == 0 {
		return "?"
	}
	return string(rune(o))
}

// payloadRule says which payloads an op takes.
type payloadRule byte

const (
	noPayload payloadRule = iota
	anyPayload
	objectPayload // one JSON object, required
)

// shape is the form of an op's line: which fields, in this order, and what payload.
type shape struct {
	known           bool
	id, count, name bool
	payload         payloadRule
}

// fields is how many fields stand between the op and the params.
func (s shape) fields() int {
	n := 0
	for _, has := range [...]bool{s.id, s.count, s.name} {
		if has {
			n++
		}
	}
	return n
}

var shapes = [256]shape{
	Hello:       {known: true, payload: objectPayload},
	Welcome:     {known: true, payload: objectPayload},
	Ack:         {known: true, count: true},
	Ping:        {known: true},
	Quit:        {known: true, payload: objectPayload},
	Call:        {known: true, id: true, name: true, payload: anyPayload},
	Answer:      {known: true, id: true, payload: anyPayload},
	Fail:        {known: true, id: true, payload: objectPayload},
	Cancel:      {known: true, id: true, payload: anyPayload},
	Item:        {known: true, id: true, payload: anyPayload},
	End:         {known: true, id: true},
	Credit:      {known: true, id: true, count: true},
	Subscribe:   {known: true, id: true, name: true, payload: anyPayload},
	Unsubscribe: {known: true, id: true, name: true, payload: anyPayload},
	Event:       {known: true, name: true, payload: anyPayload},
	Message:     {known: true, name: true, payload: anyPayload},
}

// opField is the part of a line that decides what it does and whether it counts: everything before the first space
// or semicolon.
func opField(head []byte) []byte {
	for i, c := range head {
		if c == ' ' || c == ';' {
			return head[:i]
		}
	}
	return head
}

// OpOf is the op with which a line begins, well-formed or not, and 0 when that is none of the known ones. The first
// 256 bytes of a line are enough.
func OpOf(head []byte) Op {
	if len(head) == 0 || !shapes[head[0]].known {
		return 0
	}
	if len(head) > 1 && head[1] != ' ' && head[1] != ';' {
		return 0
	}
	return Op(head[0])
}

// Counted reports whether a line takes a number. The first field alone decides that, so that malformed lines, and
// ops of later versions, are numbered alike on both ends. The first 256 bytes of a line are enough.
func Counted(head []byte) bool {
	if len(head) == 0 || 'A' <= head[0] && head[0] <= 'Z' {
		return false
	}
	switch OpOf(head) {
	case Hello, Welcome, Ack, Ping, Quit:
		return false
	}
	return true
}

// FirstID is the number in the field behind the op, which a report about a line that cannot be read should carry,
// and 0 when there is none. The first 256 bytes of a line are enough.
func FirstID(head []byte) uint64 {
	op := opField(head[:min(len(head), maxKey+1)])
	if len(op) == 0 || len(op) > maxKey || len(op) == len(head) || head[len(op)] != ' ' {
		return 0
	}
	id, _, _ := number(head, len(op)+1)
	return id
}

func alpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
