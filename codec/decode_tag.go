package codec

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"
)

// date reads a date: milliseconds, or text. A null is an invalid Date, for
// which Go has the zero Time.
func (d *decoder) date(pos int) (time.Time, int, error) {
	end := d.end(pos)
	switch b := d.text[pos]; {
	case b == 'n':
		return time.Time{}, end, nil
	case b == '"':
		text, _ := d.str(pos)
		t, err := parseDate(string(text))
		if err != nil {
			return t, end, d.notADate(pos, err)
		}
		return t, end, nil
	case b == '-' || b >= '0' && b <= '9':
		ms, err := strconv.ParseFloat(string(d.text[pos:end]), 64)
		if err != nil || math.Abs(ms) > maxDate {
			return time.Time{}, end, d.notADate(pos, errDate)
		}
		return time.UnixMilli(int64(ms)).UTC(), end, nil
	}
	return time.Time{}, end, d.mismatch(pos, "a date")
}

func (d *decoder) notADate(pos int, err error) error {
	return &TypeError{Want: "a date", Got: d.describe(pos), Err: err}
}

// parseDate reads the texts that JavaScript's Date reads everywhere alike.
func parseDate(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || math.Abs(float64(ms)) > maxDate {
		return time.Time{}, errDate
	}
	return time.UnixMilli(ms).UTC(), nil
}

func (d *decoder) regExp(pos int) (RegExp, int, error) {
	if d.text[pos] != '"' {
		return RegExp{}, pos, d.mismatch(pos, "a regular expression as text")
	}
	text, end := d.str(pos)
	return parseRegExp(string(text)), end, nil
}

// goError reads [name, message, stack], of which the tail may be missing.
func (d *decoder) goError(pos int) (*Error, int, error) {
	const want = "an error as [name, message, stack]"
	if d.text[pos] != '[' {
		return nil, pos, d.mismatch(pos, want)
	}
	e := new(Error)
	parts := [...]*string{&e.Name, &e.Message, &e.Stack}
	i := skipSpace(d.text, pos+1)
	for n := 0; d.text[i] != ']'; n++ {
		switch {
		case n >= len(parts), d.isNull(i):
		case d.text[i] != '"':
			return nil, i, inElement(d.mismatch(i, "a string"), n)
		default:
			text, _ := d.str(i)
			*parts[n] = string(text)
		}
		i = skipComma(d.text, d.end(i))
	}
	return e, i + 1, nil
}

func (d *decoder) base64(pos int) ([]byte, int, error) {
	const want = "base64 text"
	if d.text[pos] != '"' {
		return nil, pos, d.mismatch(pos, want)
	}
	text, end := d.str(pos)
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(data, text)
	if err != nil {
		return nil, end, &TypeError{Want: want, Got: d.describe(pos), Err: err}
	}
	return data[:n], end, nil
}
