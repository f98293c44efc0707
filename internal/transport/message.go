package transport

import (
	"io"
	"unicode/utf8"
)

// message reads one message of a Socket; there is one for all of them.
type message struct {
	s    *Socket
	r    io.Reader // nil at the end of the message
	text bool
	tail [utf8.UTFMax]byte // of text: the first bytes of a rune that is not whole yet
	part int               // how many
	err  error             // what ended reading
}

func (m *message) begin(r io.Reader, text bool) {
	m.r, m.text, m.part, m.err = r, text, 0, nil
}

// Read reads on, and checks what it reads.
func (m *message) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if m.s.w.Sealed() {
		m.err = ErrEnded
		return 0, m.err
	}
	n, err := m.r.Read(p)
	if err != nil && err != io.EOF {
		// Coder has not unmasked what came of a piece that was cut short.
		n = 0
	}
	switch {
	case m.text && !m.valid(p[:n]):
		m.err = ErrUTF8
		return 0, m.err
	case err == io.EOF:
		m.r, m.err = nil, io.EOF
		if m.part > 0 {
			m.err = ErrUTF8
		}
	case err != nil:
		m.err = m.s.failed(err)
		m.r = nil
	}
	return n, m.err
}

// skip drops what is left of the message.
func (m *message) skip() error {
	if m.r == nil {
		return nil
	}
	_, err := io.Copy(io.Discard, m.r)
	if err == nil {
		m.r = nil
	}
	return err
}

// valid checks a piece of text, whose first and last rune may be cut.
func (m *message) valid(p []byte) bool {
	for m.part > 0 && len(p) > 0 {
		m.tail[m.part] = p[0]
		m.part++
		p = p[1:]
		if t := m.tail[:m.part]; utf8.FullRune(t) {
			if !utf8.Valid(t) {
				return false
			}
			m.part = 0
		}
	}
	end := len(p)
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if utf8.RuneStart(p[len(p)-i]) {
			if !utf8.FullRune(p[len(p)-i:]) {
				end = len(p) - i
			}
			break
		}
	}
	m.part += copy(m.tail[m.part:], p[end:])
	return utf8.Valid(p[:end])
}
