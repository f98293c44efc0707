package codec

import "strconv"

// A container is a part that a pointer has gone through: where its members or
// elements are, and which tags they have.
type container struct {
	members  map[string]spot
	elements []int32
	tags     []string // of elements, nil if none has any
}

type spot struct {
	pos int
	tag string
}

// anyPointer reads a pointer as an any: the very same map or slice that the
// value it points to is. Everything else it points to is read again.
func (d *decoder) anyPointer(pos int) (any, int, error) {
	end := d.end(pos)
	to, err := d.follow(pos)
	if err != nil {
		return nil, end, err
	}
	if b := d.text[to.pos]; b == '{' || b == '[' {
		if made, _ := d.known(to.pos); made != nil {
			return made, end, nil
		}
	}
	if err := d.spend(to.pos); err != nil {
		return nil, end, err
	}
	v, _, err := d.anyAt(to.pos, to.tag)
	return v, end, err
}

// spend takes what the value at pos adds to the text off the budget.
func (d *decoder) spend(pos int) error {
	d.budget -= d.end(pos) - pos
	if d.budget < 0 {
		return sizeError(d.MaxSize)
	}
	return nil
}

// follow returns what the path at pos leads to. It goes through plain objects
// and arrays only, member by member, and neither through nor to another
// pointer.
func (d *decoder) follow(pos int) (spot, error) {
	const want = "a pointer to a value of the message"
	if d.text[pos] != '[' {
		return spot{}, d.mismatch(pos, want)
	}
	at := spot{d.start, d.tag}
	for i := skipSpace(d.text, pos+1); d.text[i] != ']'; {
		next, ok := d.step(at, i)
		if !ok {
			return spot{}, &TypeError{Want: want, Got: "the path " + shown(string(d.text[pos:d.end(pos)])) + ", where there is none"}
		}
		at = next
		i = skipComma(d.text, d.end(i))
	}
	if at.tag == "P" {
		return spot{}, &TypeError{Want: want, Got: "a pointer to another pointer"}
	}
	return at, nil
}

// step goes from a container to the member or element that the segment of a
// path at i names.
func (d *decoder) step(from spot, i int) (to spot, ok bool) {
	list := from.tag != "" && from.tag[0] == '['
	switch from.tag {
	case "D", "R", "E", "S", "M", "I", "U", "P":
		return to, false // what these hold are no members
	}
	var segment []byte
	switch d.text[i] {
	case '"':
		segment, _ = d.str(i)
	case '{', '[', 't', 'f', 'n':
		return to, false
	default:
		segment = d.text[i:d.end(i)]
	}
	switch d.text[from.pos] {
	case '{':
		to, ok = d.container(from.pos, "").members[string(segment)]
	case '[':
		tag := ""
		if list {
			tag = from.tag
		}
		c := d.container(from.pos, tag)
		n, err := strconv.ParseUint(string(segment), 10, 31)
		if err != nil || n >= uint64(len(c.elements)) || len(segment) > 1 && segment[0] == '0' {
			return to, false
		}
		to, ok = spot{pos: int(c.elements[n])}, true
		if c.tags != nil {
			to.tag = c.tags[n]
		}
	}
	return to, ok
}

// container returns the part at pos with its members, which are looked at once.
func (d *decoder) container(pos int, tag string) *container {
	if c := d.walked[pos]; c != nil {
		return c
	}
	if d.walked == nil {
		d.walked = map[int]*container{}
	}
	c := new(container)
	d.walked[pos] = c
	i := skipSpace(d.text, pos+1)
	if d.text[pos] == '{' {
		c.members = map[string]spot{}
		for d.text[i] != '}' {
			key, tag, at := d.key(i)
			c.members[string(key)] = spot{at, tag}
			i = skipComma(d.text, d.end(at))
		}
		return c
	}
	tags := elementTags(tag)
	for d.text[i] != ']' {
		c.elements = append(c.elements, int32(i))
		if tag != "" {
			c.tags = append(c.tags, tags.next())
		}
		i = skipComma(d.text, d.end(i))
	}
	return c
}
