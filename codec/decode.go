package codec

import (
	"reflect"
	"slices"
	"strconv"
)

// A decoder reads text that has been checked. Its methods take the position of
// a value and the tag that the value has, and return the position behind it.
type decoder struct {
	Options
	text   []byte
	start  int // of the root, from which pointers count
	tag    string
	depth  int
	raw    int // Sets and Maps around the value
	budget int // bytes that pointers may still expand to

	// For text with pointers only:
	parts  []part
	last   int                // index of the part that was last asked for
	made   []any              // for each part what it became in an any, else nil
	walked map[int]*container // parts that pointers have gone through
}

// decoder checks text and returns its decoder.
func (o Options) decoder(text []byte) (*decoder, error) {
	pointers := len(text) > 1 && mayHoldTags(text) && mayHoldPointers(text)
	parts, err := check(text, o.MaxDepth, pointers)
	if err != nil {
		return nil, err
	}
	d := &decoder{Options: o, text: text, parts: parts, budget: o.MaxSize - len(text)}
	if pointers {
		d.made = make([]any, len(parts))
	}
	return d, nil
}

// root returns the position and tag of the root: an object whose only key is a
// tag is no object, but the value of that tag.
func (d *decoder) root() (pos int, tag string) {
	d.start = skipSpace(d.text, 0)
	if d.text[d.start] != '{' {
		return d.start, ""
	}
	i := skipSpace(d.text, d.start+1)
	if d.text[i] == '}' {
		return d.start, ""
	}
	_, _, at := d.key(i)
	if tag = bareTag(unquote(d.text[i:skipString(d.text, i)])); tag != "" && d.text[skipSpace(d.text, d.end(at))] == '}' {
		d.start, d.tag = at, tag
	}
	return d.start, d.tag
}

// end returns the position behind the value at pos.
func (d *decoder) end(pos int) int {
	if b := d.text[pos]; b != '{' && b != '[' {
		return skipScalar(d.text, pos)
	}
	if d.parts != nil {
		return int(d.parts[d.partAt(pos)].end)
	}
	return skipContainer(d.text, pos)
}

// partAt returns the index of the part that begins at pos. Mostly that is the
// part it was asked for last, or the one behind that.
func (d *decoder) partAt(pos int) int {
	for i := d.last; i < min(d.last+2, len(d.parts)); i++ {
		if int(d.parts[i].pos) == pos {
			d.last = i
			return i
		}
	}
	d.last, _ = slices.BinarySearchFunc(d.parts, pos, func(p part, pos int) int { return int(p.pos) - pos })
	return d.last
}

// key reads the key at i. The name is good until the text changes.
func (d *decoder) key(i int) (name []byte, tag string, value int) {
	end := skipString(d.text, i)
	name = unquote(d.text[i:end])
	if d.raw == 0 {
		name, tag = splitKey(name)
	}
	value = skipSpace(d.text, skipSpace(d.text, end)+1) // over the colon
	return name, tag, value
}

func (d *decoder) enter() error {
	if d.depth++; d.depth > d.MaxDepth {
		return depthError(d.MaxDepth)
	}
	return nil
}

func (d *decoder) leave() { d.depth-- }

// number is a number as a float64, the only kind that an any holds.
func (d *decoder) number(pos int) (float64, int, error) {
	end := skipScalar(d.text, pos)
	f, err := strconv.ParseFloat(string(d.text[pos:end]), 64)
	if err != nil {
		return 0, end, d.mismatch(pos, "a number within the range of float64")
	}
	return f, end, nil
}

// isNull reports whether the value at pos is null.
func (d *decoder) isNull(pos int) bool { return d.text[pos] == 'n' }

// str returns the string at pos.
func (d *decoder) str(pos int) (text []byte, end int) {
	end = skipString(d.text, pos)
	return unquote(d.text[pos:end]), end
}

// mismatch is the error for a value that does not fit.
func (d *decoder) mismatch(pos int, want string) error {
	return &TypeError{Want: want, Got: d.describe(pos)}
}

// describe says what stands at pos.
func (d *decoder) describe(pos int) string {
	switch d.text[pos] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 'n', 't', 'f':
		return string(d.text[pos:skipScalar(d.text, pos)])
	}
	return "the number " + shown(string(d.text[pos:skipScalar(d.text, pos)]))
}

// anyAt reads the value at pos as an any.
func (d *decoder) anyAt(pos int, tag string) (any, int, error) {
	if tag != "" && d.raw == 0 {
		return d.anyTagged(pos, tag)
	}
	switch d.text[pos] {
	case '{':
		return d.anyObject(pos)
	case '[':
		return d.anyArray(pos, "")
	case '"':
		text, end := d.str(pos)
		return string(text), end, nil
	case 't':
		return true, pos + 4, nil
	case 'f':
		return false, pos + 5, nil
	case 'n':
		return nil, pos + 4, nil
	}
	f, end, err := d.number(pos)
	return f, end, err
}

// anyObject reads an object. In text with pointers an object is made once, and
// known before its members, which may point to it.
func (d *decoder) anyObject(pos int) (any, int, error) {
	made, end := d.known(pos)
	if made != nil {
		return made, end, nil
	}
	m := map[string]any{}
	d.keep(pos, m)
	end, err := d.members(pos, m)
	return m, end, err
}

func (d *decoder) members(pos int, m map[string]any) (end int, err error) {
	if err := d.enter(); err != nil {
		return pos, err
	}
	i := skipSpace(d.text, pos+1)
	for d.text[i] != '}' {
		key, tag, at := d.key(i)
		name := string(key)
		v, end, err := d.anyAt(at, tag)
		if err != nil {
			return end, inMember(err, name)
		}
		m[name] = v
		i = skipComma(d.text, end)
	}
	d.leave()
	return i + 1, nil
}

// anyArray reads an array. Where pointers may lead to it, it gets its final
// length before its elements.
func (d *decoder) anyArray(pos int, tag string) (any, int, error) {
	made, end := d.known(pos)
	if made != nil {
		return made, end, nil
	}
	list := []any{}
	if d.parts != nil {
		list = make([]any, d.parts[d.partAt(pos)].count)
		d.keep(pos, list)
	}
	list, end, err := d.elements(pos, tag, list)
	return list, end, err
}

// elements reads elements into list, which is long enough or empty.
func (d *decoder) elements(pos int, tag string, list []any) ([]any, int, error) {
	if err := d.enter(); err != nil {
		return nil, pos, err
	}
	tags := elementTags(tag)
	i, n := skipSpace(d.text, pos+1), 0
	for ; d.text[i] != ']'; n++ {
		v, end, err := d.anyAt(i, tags.next())
		if err != nil {
			return nil, end, inElement(err, n)
		}
		if n < len(list) {
			list[n] = v
		} else {
			list = append(list, v)
		}
		i = skipComma(d.text, end)
	}
	d.leave()
	return list, i + 1, nil
}

// known returns what the part at pos became already, nil if nothing.
func (d *decoder) known(pos int) (made any, end int) {
	if d.parts == nil {
		return nil, pos
	}
	i := d.partAt(pos)
	return d.made[i], int(d.parts[i].end)
}

// keep notes what the part at pos became.
func (d *decoder) keep(pos int, made any) {
	if d.parts != nil {
		d.made[d.partAt(pos)] = made
	}
}

// anyTagged reads a tagged value. A tag that is not known here is dropped, and
// its value read as if it had none.
func (d *decoder) anyTagged(pos int, tag string) (any, int, error) {
	switch tag {
	case "D":
		return asAny(d.date(pos))
	case "R":
		return asAny(d.regExp(pos))
	case "E":
		return asAny(d.goError(pos))
	case "S":
		return d.anySet(pos)
	case "M":
		return d.anyMap(pos)
	case "I":
		return d.anyBytes(pos)
	case "U":
		return Undefined, d.end(pos), nil
	case "P":
		return d.anyPointer(pos)
	}
	if tag[0] == '[' && d.text[pos] == '[' {
		return d.anyArray(pos, tag)
	}
	return d.anyAt(pos, "")
}

func asAny[T any](v T, end int, err error) (any, int, error) { return v, end, err }

// anySet reads a Set. Like all that can be pointed to, it is made once.
func (d *decoder) anySet(pos int) (any, int, error) {
	if d.isNull(pos) {
		return Set{}, d.end(pos), nil
	}
	if d.text[pos] != '[' {
		return nil, pos, d.mismatch(pos, "an array for a Set")
	}
	made, end := d.known(pos)
	if made != nil {
		return made, end, nil
	}
	d.raw++
	list, end, err := d.elements(pos, "", []any{})
	d.raw--
	d.keep(pos, Set(list))
	return Set(list), end, err
}

func (d *decoder) anyMap(pos int) (any, int, error) {
	if d.isNull(pos) {
		return Map{}, d.end(pos), nil
	}
	if d.text[pos] != '{' {
		return nil, pos, d.mismatch(pos, "an object for a Map")
	}
	made, end := d.known(pos)
	if made != nil {
		return made, end, nil
	}
	m := Map{}
	d.keep(pos, m)
	d.raw++
	end, err := d.members(pos, m)
	d.raw--
	return m, end, err
}

func (d *decoder) anyBytes(pos int) (any, int, error) {
	if d.isNull(pos) {
		return nil, d.end(pos), nil
	}
	data, end, err := d.base64(pos)
	return data, end, err
}

// setAny puts an any into an interface that may have methods.
func (d *decoder) setAny(pos int, tag string, v reflect.Value) (end int, err error) {
	value, end, err := d.anyAt(pos, tag)
	if err != nil {
		return end, err
	}
	if value == nil {
		v.SetZero()
		return end, nil
	}
	made := reflect.ValueOf(value)
	if !made.Type().AssignableTo(v.Type()) {
		return end, d.mismatch(pos, wanted(v.Type()))
	}
	v.Set(made)
	return end, nil
}
