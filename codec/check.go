package codec

import "fmt"

// A part is an array or object of the text. All parts of a text, in order of
// appearance, make skipping one a search instead of a scan.
type part struct {
	pos, end int32
	count    int32 // elements or members
}

// checker proves that text is one JSON value within the depth limit, so that
// everything after it can read without asking.
type checker struct {
	text  []byte
	limit int
	depth int
	parts []part
	keep  bool // collect parts
}

// check returns the error of the first thing wrong with text. With keep it
// returns the text's parts.
func check(text []byte, limit int, keep bool) ([]part, error) {
	c := checker{text: text, limit: limit, keep: keep}
	end, err := c.value(skipSpace(text, 0))
	if err != nil {
		return nil, err
	}
	if end = skipSpace(text, end); end < len(text) {
		return nil, c.fail(end, "want the end of the text")
	}
	return c.parts, nil
}

func (c *checker) fail(pos int, want string) error {
	got := "the text ends"
	if pos < len(c.text) {
		got = fmt.Sprintf("got %q", c.text[pos])
	}
	return &SyntaxError{Offset: pos, Reason: want + ", " + got}
}

// value checks the value at i and returns the position behind it.
func (c *checker) value(i int) (int, error) {
	if i >= len(c.text) {
		return i, c.fail(i, "want a value")
	}
	switch b := c.text[i]; b {
	case '{', '[':
		return c.container(i, b == '{')
	case '"':
		return c.str(i)
	case 't':
		return c.word(i, "true")
	case 'f':
		return c.word(i, "false")
	case 'n':
		return c.word(i, "null")
	default:
		return c.number(i)
	}
}

func (c *checker) container(i int, object bool) (int, error) {
	if c.depth++; c.depth > c.limit {
		return i, depthError(c.limit)
	}
	index := len(c.parts)
	if c.keep {
		c.parts = append(c.parts, part{pos: int32(i)})
	}
	end, count, err := c.list(i, object)
	if c.keep && err == nil {
		c.parts[index].end, c.parts[index].count = int32(end), int32(count)
	}
	c.depth--
	return end, err
}

// list checks what stands between brackets, and counts it.
func (c *checker) list(i int, object bool) (end, count int, err error) {
	closing, want := byte(']'), "want a comma or the end of the array"
	if object {
		closing, want = '}', "want a comma or the end of the object"
	}
	i = skipSpace(c.text, i+1)
	if i < len(c.text) && c.text[i] == closing {
		return i + 1, 0, nil
	}
	for {
		if object {
			if i, err = c.key(i); err != nil {
				return i, 0, err
			}
		}
		if i, err = c.value(i); err != nil {
			return i, 0, err
		}
		count++
		i = skipSpace(c.text, i)
		switch {
		case i < len(c.text) && c.text[i] == closing:
			return i + 1, count, nil
		case i >= len(c.text) || c.text[i] != ',':
			return i, 0, c.fail(i, want)
		}
		i = skipSpace(c.text, i+1)
	}
}

// key checks a key and its colon, and returns the position of the value.
func (c *checker) key(i int) (int, error) {
	if i >= len(c.text) || c.text[i] != '"' {
		return i, c.fail(i, "want a key in quotes")
	}
	i, err := c.str(i)
	if err != nil {
		return i, err
	}
	if i = skipSpace(c.text, i); i >= len(c.text) || c.text[i] != ':' {
		return i, c.fail(i, "want a colon")
	}
	return skipSpace(c.text, i+1), nil
}

func (c *checker) word(i int, word string) (int, error) {
	for k := range len(word) {
		if i+k >= len(c.text) || c.text[i+k] != word[k] {
			return i, c.fail(i+k, "want "+word)
		}
	}
	return i + len(word), nil
}

func (c *checker) str(i int) (int, error) {
	for i++; i < len(c.text); i++ {
		switch b := c.text[i]; {
		case b == '"':
			return i + 1, nil
		case b < ' ':
			return i, c.fail(i, "want control characters escaped")
		case b == '\\':
			i++
			if i < len(c.text) && c.text[i] == 'u' {
				for range 4 {
					if i++; i >= len(c.text) || !isHex(c.text[i]) {
						return i, c.fail(i, "want four hexadecimal digits")
					}
				}
			} else if i >= len(c.text) || !isEscape(c.text[i]) {
				return i, c.fail(i, "want an escape that JSON has")
			}
		}
	}
	return i, c.fail(i, "want the end of the string")
}

func (c *checker) number(i int) (int, error) {
	start := i
	if c.text[i] == '-' {
		i++
	}
	first := i
	if i = c.digits(i); i == first {
		if first == start {
			return i, c.fail(i, "want a value")
		}
		return i, c.fail(i, "want a digit")
	}
	if c.text[first] == '0' && i > first+1 {
		return i, c.fail(first+1, "want no digit after a leading zero")
	}
	if i < len(c.text) && c.text[i] == '.' {
		point := i + 1
		if i = c.digits(point); i == point {
			return i, c.fail(i, "want a digit")
		}
	}
	if i < len(c.text) && (c.text[i] == 'e' || c.text[i] == 'E') {
		i++
		if i < len(c.text) && (c.text[i] == '+' || c.text[i] == '-') {
			i++
		}
		power := i
		if i = c.digits(power); i == power {
			return i, c.fail(i, "want a digit")
		}
	}
	return i, nil
}

func (c *checker) digits(i int) int {
	for i < len(c.text) && c.text[i] >= '0' && c.text[i] <= '9' {
		i++
	}
	return i
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

func isEscape(b byte) bool {
	switch b {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	}
	return false
}

func depthError(limit int) error {
	return fmt.Errorf("codec: %w: more than %d arrays and objects inside each other", ErrTooDeep, limit)
}

func sizeError(limit int) error {
	return fmt.Errorf("codec: %w: more than %d bytes", ErrTooLarge, limit)
}
