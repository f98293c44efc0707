package meshtest

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/goape/ape/mesh"
)

var recordRules = []rule{
	{name: "17 the first key stays", says: "The store keeps the first key that is proposed; everybody who joins gets that one.", check: firstKey},
	{name: "18 meta comes back as given", says: "Members returns IDs, epochs and meta to the last bit; what breaks the rules of names is refused.", check: metaKept},
}

func firstKey(s *site) {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i * 37) // with a zero byte, and no UTF-8
	}
	if got := s.proposes(s.namespace, "none", nil); len(got) != 0 {
		s.Fatalf("Join with an empty proposal returned the key %x, want none", got)
	}
	if got := s.proposes(s.namespace, "a", key); !bytes.Equal(got, key) {
		s.Fatalf("the first proposal is %x, Join returned %x", key, got)
	}
	for i := range 3 {
		if got := s.proposes(s.namespace, fmt.Sprint("m-", i), []byte{byte(i), 1, 2}); !bytes.Equal(got, key) {
			s.Fatalf("the key is %x, a later Join returned %x", key, got)
		}
	}
	// It stays when all have left, as they have, and for who proposes nothing.
	if got := s.proposes(s.namespace, "late", nil); !bytes.Equal(got, key) {
		s.Fatalf("the key is %x, a Join without a proposal returned %x", key, got)
	}
	s.keyRace()
	if s.Wipe != nil {
		s.Wipe()
		if got := s.proposes(s.namespace, "b", []byte("another")); string(got) != "another" {
			s.Fatalf("the first proposal to an empty store is %q, Join returned %q", "another", got)
		}
	}
}

// keyRace lets members propose at the same time, in a namespace without a key.
func (s *site) keyRace() {
	s.Helper()
	namespace := newNamespace()
	const members = 8
	keys := make([][]byte, members)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i] = s.proposes(namespace, fmt.Sprint("m-", i), []byte{byte(i), 0, 255}) })
	}
	wg.Wait()
	for _, key := range keys {
		if len(key) != 3 || !bytes.Equal(key, keys[0]) {
			s.Fatalf("members who join at the same time get the keys %x, want one that was proposed", keys)
		}
	}
}

// proposes joins, leaves, and returns the key. It is called from goroutines, so
// it does not end the case.
func (s *site) proposes(namespace, id string, key []byte) []byte {
	s.Helper()
	m := s.Mesh(namespace, id)
	got, err := m.Join(s.ctx, mesh.Member{ID: id, Epoch: newLife() << 16}, lease, key)
	if err == nil {
		err = m.Leave(s.ctx)
	}
	if err != nil {
		s.Errorf("Join and Leave of %s: %v", id, err)
	}
	return got
}

func metaKept(s *site) {
	metas := []map[string]string{
		nil,
		{"address": "http://10.0.0.1:8080/ape", "version": "3"},
		{"quotes": `'"\` + "`", "space": " a  b ", "lines": "a\nb\r\n\x01", "ä 🐵": "日本", "html": "<&>", "percent": "%s%%", "empty": "", "": "no name"},
		{"big": strings.Repeat("🐵", 255)},
	}
	ids := []string{"a", "Z.9_-", strings.Repeat("m", 64), "members"}
	var all []*member
	for i, meta := range metas {
		m := &member{Mesh: s.Mesh(s.namespace, ids[i]), s: s, self: mesh.Member{ID: ids[i], Meta: meta}}
		s.must(m.rejoin((1<<47-1-uint64(i))<<16|0xffff-uint64(i), lease), "Join")
		s.ends = append(s.ends, m.leave)
		all = append(all, m)
	}
	s.sees(all[0], all...)
	got, err := all[0].Members(s.ctx)
	s.must(err, "Members")
	for _, m := range all {
		if g := pick(got, m.self.ID); !maps.Equal(g[0].Meta, m.self.Meta) {
			s.Fatalf("meta of %s: got %q, want %q", m.self.ID, g[0].Meta, m.self.Meta)
		}
	}
	refuses(s)
}

// refuses checks what Join and Pull say to names that break the rules.
func refuses(s *site) {
	good := mesh.Member{ID: "a", Epoch: newLife() << 16}
	for _, namespace := range []string{"With Space", "UPPER", "a:b", "a*", "ä", strings.Repeat("n", 33)} {
		m := s.Mesh(namespace, "a")
		if _, err := m.Join(s.ctx, good, lease, nil); err == nil {
			s.Fatalf("Join in the namespace %q returned no error", namespace)
		}
		if _, err := m.Channels().Pull(s.ctx, "a"); err == nil {
			s.Fatalf("Pull in the namespace %q returned no error", namespace)
		}
	}
	m := s.Mesh(s.namespace, "a")
	for _, id := range []string{"", "a b", "a:b", "a/b", "*", "ä", "a\x00", strings.Repeat("m", 65)} {
		if _, err := m.Join(s.ctx, mesh.Member{ID: id, Epoch: good.Epoch}, lease, nil); err == nil {
			s.Fatalf("Join of the member %q returned no error", id)
		}
		if _, err := m.Channels().Pull(s.ctx, id); err == nil {
			s.Fatalf("Pull of the member %q returned no error", id)
		}
	}
	good.Meta = map[string]string{"big": strings.Repeat("x", 1025)}
	if _, err := m.Join(s.ctx, good, lease, nil); err == nil {
		s.Fatal("Join with more than 1 KiB of meta returned no error")
	}
}
