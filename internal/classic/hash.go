package classic

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// QueryID names the call that was made by sending text: a hash of its UTF-16 code units, in at most seven digits.
// Invalid UTF-8 counts as U+FFFD, byte by byte.
func QueryID(text []byte) string {
	var h Hasher
	h.Write(text)
	return h.QueryID()
}

// Hasher computes a [QueryID] from text that comes in pieces, cut anywhere, also inside of a character. The zero value
// is ready.
type Hasher struct {
	hash    int32 // the right shifts must be arithmetic ones
	pending [utf8.UTFMax]byte
	held    int // bytes of pending: the beginning of a character
}

// Write adds text. It keeps at most three bytes of it, and never fails.
func (h *Hasher) Write(text []byte) (int, error) {
	n := len(text)
	for h.held > 0 && len(text) > 0 {
		h.pending[h.held] = text[0]
		text = text[1:]
		h.held++
		for h.held > 0 && utf8.FullRune(h.pending[:h.held]) {
			h.takePending()
		}
	}
	hash := h.hash
	for len(text) > 0 {
		if c := text[0]; c < utf8.RuneSelf {
			hash = mix(hash, int32(c))
			text = text[1:]
			continue
		}
		if !utf8.FullRune(text) {
			h.held = copy(h.pending[:], text)
			break
		}
		r, size := utf8.DecodeRune(text)
		hash = mixRune(hash, r)
		text = text[size:]
	}
	h.hash = hash
	return n, nil
}

// QueryID is the hash of all that was written so far. A character that is not complete counts as invalid; more may be
// written afterwards.
func (h *Hasher) QueryID() string {
	end := *h
	for end.held > 0 {
		end.takePending()
	}
	return end.digits()
}

// takePending moves the first character of pending, or an invalid byte, into the hash.
func (h *Hasher) takePending() {
	r, size := utf8.DecodeRune(h.pending[:h.held])
	h.hash = mixRune(h.hash, r)
	h.held = copy(h.pending[:], h.pending[size:h.held])
}

// digits finishes the hash and writes it in Crockford's base 32.
func (h *Hasher) digits() string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	hash := h.hash
	hash += hash << 3
	hash ^= hash >> 11
	hash += hash << 15
	var text [7]byte
	at := len(text)
	for n := uint32(hash); ; n >>= 5 {
		at--
		text[at] = alphabet[n&31]
		if n < 32 {
			return string(text[at:])
		}
	}
}

func mix(hash, unit int32) int32 {
	hash += unit
	hash += hash << 10
	return hash ^ hash>>6
}

func mixRune(hash int32, r rune) int32 {
	if r < 0x10000 {
		return mix(hash, r)
	}
	high, low := utf16.EncodeRune(r)
	return mix(mix(hash, high), low)
}

// PathHash names one binary value of a message in the URL to which a client uploads it. path is where the value stands
// in data, keys and indexes joined by dots; a value that is data itself has the path root, a shared file share.
func PathHash(path string) string {
	var hash int32
	for _, r := range path {
		if r >= 0x10000 {
			high, low := utf16.EncodeRune(r)
			hash = 31*hash + high
			r = low
		}
		hash = 31*hash + r
	}
	n := int64(hash)
	if n < 0 {
		n = -n
	}
	return strconv.FormatInt(n, 36)
}
