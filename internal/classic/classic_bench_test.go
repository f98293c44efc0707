package classic_test

import (
	"strings"
	"testing"

	"github.com/goape/ape/internal/classic"
)

var (
	short = []byte(`{"type":"/chat/send","data":{"room":"kitchen","text":"the banana is ripe"},"createdAt<!D>":1795168201198,"requestedAt<!D>":1795168201198}`)
	large = []byte(`{"type":"/chat/send","data":[` + strings.Repeat(`{"id":12345,"text":"the banana is ripe \n é","tags":["a","b"]},`, 1000) + `null]}`)
)

func BenchmarkScan(b *testing.B) {
	for name, doc := range map[string][]byte{"short": short, "64 kB": large} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			var m classic.Message
			for b.Loop() {
				if err := classic.Scan(doc, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkQueryID(b *testing.B) {
	for name, doc := range map[string][]byte{"short": short, "64 kB": large} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				classic.QueryID(doc)
			}
		})
	}
}
