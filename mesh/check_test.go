package mesh_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/goape/ape/mesh"
)

func TestChecksSayTheRule(t *testing.T) {
	member := func(change func(m *mesh.Member)) error {
		m := mesh.Member{ID: "a", Epoch: 1 << 16}
		change(&m)
		return mesh.CheckMember(m)
	}
	claim := func(client string, gen uint64) error {
		return mesh.CheckClaims([]mesh.Claim{{Client: "ok", Gen: 1}, {Client: client, Gen: gen}})
	}
	frames := func(f mesh.Frame) error { return mesh.CheckFrames([]mesh.Frame{{To: mesh.All}, f}, 10) }
	for _, x := range []struct {
		err  error
		says string // nothing: no error
	}{
		{mesh.CheckNamespace("ape"), ""},
		{mesh.CheckNamespace("a_b-9" + strings.Repeat("x", 27)), ""},
		{mesh.CheckNamespace(strings.Repeat("x", 33)), "use 1 to 32 of a-z 0-9 _ -"},
		{mesh.CheckNamespace(""), "use 1 to 32"},
		{mesh.CheckNamespace("a.b"), `"a.b"`},
		{mesh.CheckID("A.b_c-9" + strings.Repeat("x", 57)), ""},
		{mesh.CheckID(strings.Repeat("x", 65)), "use 1 to 64 of A-Z a-z 0-9 . _ -"},
		{mesh.CheckID("ä"), "use 1 to 64"},
		{mesh.CheckID(strings.Repeat("\n", 1<<20)), "use 1 to 64"},
		{member(func(*mesh.Member) {}), ""},
		{member(func(m *mesh.Member) { m.ID = "a b" }), "use 1 to 64"},
		{member(func(m *mesh.Member) { m.Epoch = 0xffff }), "its life"},
		{member(func(m *mesh.Member) { m.Epoch = 1 << 63 }), "its life"},
		{member(func(m *mesh.Member) { m.Epoch = 1<<63 - 1 }), ""},
		{member(func(m *mesh.Member) { m.Meta = map[string]string{"k": strings.Repeat("v", 1023)} }), ""},
		{member(func(m *mesh.Member) { m.Meta = map[string]string{"k": strings.Repeat("v", 1024)} }), "1025 bytes of meta at member a: at most 1024 fit"},
		{member(func(m *mesh.Member) { m.Meta = map[string]string{"k": "\xff"} }), "use UTF-8"},
		{claim("a", 1), ""},
		{claim(strings.Repeat("x", 256), 1<<53-1), ""},
		{claim("", 1), "use 1 to 256 bytes"},
		{claim(strings.Repeat("x", 257), 1), "use 1 to 256 bytes"},
		{claim("a\x00", 1), "without zero bytes"},
		{claim("\xff", 1), "of UTF-8"},
		{claim("a", 0), "use 1 to 1<<53 - 1"},
		{claim("a", 1<<53), "use 1 to 1<<53 - 1"},
		{frames(mesh.Frame{To: "a", Body: make([]byte, 10)}), ""},
		{frames(mesh.Frame{To: "a", Body: make([]byte, 11)}), "11 bytes to \"a\", at most 10"},
		{frames(mesh.Frame{To: "a b"}), "use 1 to 64"},
	} {
		switch {
		case x.says == "" && x.err != nil:
			t.Errorf("got %v, want no error", x.err)
		case x.says != "" && (x.err == nil || !strings.HasPrefix(x.err.Error(), "mesh: ") || !strings.Contains(x.err.Error(), x.says)):
			t.Errorf("got %v, want an error with %q", x.err, x.says)
		case x.err != nil && len(x.err.Error()) > 600:
			t.Errorf("the error has %d bytes", len(x.err.Error()))
		}
	}
	if err := frames(mesh.Frame{Body: make([]byte, 11)}); !errors.Is(err, mesh.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestEpochs(t *testing.T) {
	m := mesh.Member{Epoch: 5<<16 | 7}
	if m.Life() != 5 || m.Term() != 7 || (mesh.Owner{Epoch: m.Epoch}).Life() != 5 {
		t.Errorf("epoch %#x: life %d, term %d", m.Epoch, m.Life(), m.Term())
	}
}
