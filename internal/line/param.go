package line

import (
	"bytes"
	"slices"
)

// fewParams is how many params are compared with each other without a table.
const fewParams = 16

// Param is the decoded value of one param, and whether the line has it. A param without "=" has the value "".
func (e *Envelope) Param(key string) (value string, ok bool) {
	for k, v := range params(e.Params) {
		if string(k) == key {
			raw, _ := unescape(v) // Parse has checked it
			return string(raw), true
		}
	}
	return "", false
}

// ParamNumber is a param whose value is a number as in the grammar of ids. ok tells whether the line has the param;
// the error is [ErrMalformed] when it has, but its value is no such number.
func (e *Envelope) ParamNumber(key string) (n uint64, ok bool, err error) {
	for k, v := range params(e.Params) {
		if string(k) != key {
			continue
		}
		n, end, fits := number(v, 0)
		if !fits || end != len(v) {
			return 0, true, ErrMalformed
		}
		return n, true, nil
	}
	return 0, false, nil
}

// UnknownRequired reports whether the line has a param whose key begins in upper case and is none of known. Such a
// line must be answered with unsupported, not carried out.
func (e *Envelope) UnknownRequired(known ...string) bool {
	for k := range params(e.Params) {
		if 'A' <= k[0] && k[0] <= 'Z' && !slices.Contains(known, string(k)) {
			return true
		}
	}
	return false
}

// params walks over checked params, values not decoded.
func params(raw []byte) func(yield func(key, value []byte) bool) {
	return func(yield func(key, value []byte) bool) {
		for len(raw) > 0 {
			var one []byte
			one, raw = cutParam(raw)
			key, value, _ := bytes.Cut(one, []byte{'='})
			if !yield(key, value) {
				return
			}
		}
	}
}

// cutParam takes the first param off raw, which begins with a semicolon.
func cutParam(raw []byte) (one, rest []byte) {
	raw = raw[1:]
	if i := bytes.IndexByte(raw, ';'); i >= 0 {
		return raw[:i], raw[i:]
	}
	return raw, nil
}

// validParams checks params from their first semicolon on: keys of letters, values of chars, no key twice.
func validParams(raw []byte) bool {
	var table map[string]bool // only for many: comparing all with all would be quadratic
	if bytes.Count(raw, []byte{';'}) > fewParams {
		table = make(map[string]bool)
	}
	for rest := raw; len(rest) > 0; {
		before := raw[:len(raw)-len(rest)]
		var one []byte
		one, rest = cutParam(rest)
		key, value, _ := bytes.Cut(one, []byte{'='})
		if strange(key) == ErrMalformed {
			return false
		}
		if _, ok := unescape(value); !ok {
			return false
		}
		if table != nil {
			if table[string(key)] {
				return false
			}
			table[string(key)] = true
			continue
		}
		for earlier := range params(before) {
			if bytes.Equal(earlier, key) {
				return false
			}
		}
	}
	return true
}
