package line_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/goape/ape/internal/line"
)

// call is a line of 200 bytes.
var call = func() string {
	const head, tail = `c 12345 chat/rooms/send;t=5000 {"room":"kitchen","text":"`, `"}`
	return head + strings.Repeat("banana ", 30)[:200-len(head)-len(tail)] + tail
}()

func BenchmarkEnvelope(b *testing.B) {
	b.Run("parse", func(b *testing.B) {
		head := []byte(call)
		b.ReportAllocs()
		var e line.Envelope
		for b.Loop() {
			if err := line.Parse(head, nil, false, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		payload := []byte(call[31:])
		var dst []byte
		b.ReportAllocs()
		for b.Loop() {
			dst = line.AppendCall(dst[:0], 12345, "chat/rooms/send")
			dst = line.AppendJSON(line.AppendParam(dst, "t", "5000"), payload)
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	for name, lines := range map[string]int{"1 line": 1, "64 lines": 64} {
		b.Run(name, func(b *testing.B) {
			in := []byte(strings.Repeat(call+"\n", lines))
			s := line.Splitter{Limit: 1 << 20}
			r := bytes.NewReader(in)
			handle := func(u line.Unit) error {
				var e line.Envelope
				return line.Parse(u.Head, u.Octets, u.Binary, &e)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				r.Reset(in)
				if err := s.Split(r, false, handle); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
