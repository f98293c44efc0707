package classic_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/goape/ape/internal/classic"
)

// vectors are what the reference's own code computed.
func vectors(t *testing.T) (v struct {
	Vectors []struct {
		Description, Input, Repeat, QueryID string
		Count                               int
		UTF16Units                          []uint16
	}
	UploadPathHash struct{ Vectors []struct{ Path, Hash string } }
	DownloadHash   struct {
		Vectors []struct{ QueryID, Path, Hash string }
	}
}) {
	t.Helper()
	text, err := os.ReadFile("testdata/hash_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestQueryIDsAreThoseOfTheClients(t *testing.T) {
	n := 0
	for _, v := range vectors(t).Vectors {
		if v.UTF16Units != nil {
			continue // a lone surrogate: a program in Go never gets to see one
		}
		n++
		text := []byte(v.Input + strings.Repeat(v.Repeat, v.Count))
		if got := classic.QueryID(text); got != v.QueryID {
			t.Errorf("%s: got %s, want %s", v.Description, got, v.QueryID)
		}
		var h classic.Hasher
		for i := range text {
			if i%3 == 0 {
				h.QueryID() // must not disturb what comes
			}
			h.Write(text[i : i+1])
		}
		if got := h.QueryID(); got != v.QueryID {
			t.Errorf("%s, byte by byte: got %s, want %s", v.Description, got, v.QueryID)
		}
	}
	if n != 29 {
		t.Errorf("%d vectors, want 29", n)
	}
}

func TestPathHashesAreThoseOfTheClients(t *testing.T) {
	v := vectors(t)
	for _, v := range v.UploadPathHash.Vectors {
		if got := classic.PathHash(v.Path); got != v.Hash {
			t.Errorf("%s: got %s, want %s", v.Path, got, v.Hash)
		}
	}
	for _, v := range v.DownloadHash.Vectors {
		if got := classic.PathHash(v.QueryID + ":" + v.Path); got != v.Hash {
			t.Errorf("%s:%s: got %s, want %s", v.QueryID, v.Path, got, v.Hash)
		}
	}
	if len(v.UploadPathHash.Vectors) != 15 || len(v.DownloadHash.Vectors) != 5 {
		t.Errorf("%d and %d vectors, want 15 and 5", len(v.UploadPathHash.Vectors), len(v.DownloadHash.Vectors))
	}
}

// plainID follows the description of the hash word by word.
func plainID(text string) string {
	var h int32
	for _, unit := range utf16.Encode([]rune(text)) {
		h += int32(unit)
		h += h << 10
		h ^= h >> 6
	}
	h += h << 3
	h ^= h >> 11
	h += h << 15
	id := ""
	for n := uint32(h); n > 0; n /= 32 {
		id = string("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[n%32]) + id
	}
	if id == "" {
		return "0"
	}
	return id
}

// FuzzHash: text hashes as described, whole and in pieces, however these are cut.
func FuzzHash(f *testing.F) {
	for _, text := range []string{"", "a", "café 🦍", "a\xffb", "\xf0\x9f\xa6", "\xf0\x9f\xa6\xf0\x9f\xa6\x8d\xe2\x82\xc3\xa9", "\xed\xa0\xbd", "\xc3"} {
		f.Add([]byte(text), uint8(1))
		f.Add([]byte(text), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		want := plainID(string(text))
		if got := classic.QueryID(text); got != want {
			t.Fatalf("%q: got %s, want %s", text, got, want)
		}
		var h classic.Hasher
		for rest := text; len(rest) > 0; {
			n := min(len(rest), 1+int(size))
			if wrote, err := h.Write(rest[:n]); wrote != n || err != nil {
				t.Fatalf("Write: %d, %v", wrote, err)
			}
			rest = rest[n:]
			size = size*5 + 1
		}
		if got := h.QueryID(); got != want {
			t.Fatalf("%q in pieces: got %s, want %s", text, got, want)
		}
	})
}
