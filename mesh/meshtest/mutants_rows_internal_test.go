package meshtest

import (
	"context"
	"strings"
	"time"

	"github.com/goape/ape/mesh"
)

func rowMutants() []mutant {
	with := func(t *table) func(*Cluster, *mesh.Memory) {
		return func(c *Cluster, _ *mesh.Memory) { c.rows(t) }
	}
	named := func(name func(string) string) func(*Cluster, *mesh.Memory) { return with(&table{name: name}) }
	return []mutant{
		{"01", "the epoch of a row lacks its term", epochWithoutTerm},
		{"01", "a row is read without the Gen", func(c *Cluster, _ *mesh.Memory) { c.read(func(o *mesh.Owner) { o.Gen = min(o.Gen, 1<<31) }) }},
		{"02", "adds are counted", with(&table{counted: map[string]int{}})},
		{"03", "the first of equal Gen stands", with(&table{firstWins: true})},
		{"04", "a lower Gen wins", with(&table{lowerWins: true})},
		{"04", "Gens compare as text", with(&table{textual: true})},
		{"04", "between reading and writing there is time", with(&table{slow: true})},
		{"05", "anybody removes", with(&table{anybody: true})},
		{"05", "a newer life of the ID removes", with(&table{otherLives: true})},
		{"05", "a later term does not remove", with(&table{termToo: true})},
		{"06", "an older Gen removes a newer", with(&table{newerToo: true})},
		{"07", "a round trip for each row", func(c *Cluster, _ *mesh.Memory) {
			trips := 0
			c.Trips = func() int { return trips }
			c.rows(&table{tripEach: func() { trips++ }})
		}},
		{"07", "rows are read in another order", with(&table{reversed: true})},
		{"08", "names are lower case", named(strings.ToLower)},
		{"08", "names are trimmed", named(strings.TrimSpace)},
		{"08", "names are cut", named(func(s string) string { return s[:min(len(s), 255)] })},
		{"08", "names end at a slash", named(func(s string) string { before, _, _ := strings.Cut(s, "/"); return before })},
		{"09", "who is absent is left out", with(&table{noZero: true})},
		{"10", "nothing is swept", with(&table{sweep: func(*table) int { return 0 }})},
		{"10", "everything is swept", with(&table{sweep: func(t *table) int { n := len(t.rows); clear(t.rows); return n }})},
		{"10", "rows expire whoever adds them again", rowsExpire},
	}
}

// read changes what is read.
func (c *Cluster) read(change func(o *mesh.Owner)) {
	c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
		return &otherMesh{Mesh: m, lookup: &otherLookup{m.Lookup(), change}}
	})
}

type otherLookup struct {
	mesh.Lookup
	change func(o *mesh.Owner)
}

func (l *otherLookup) Read(ctx context.Context, clients ...string) ([]mesh.Owner, error) {
	owners, err := l.Lookup.Read(ctx, clients...)
	for i := range owners {
		l.change(&owners[i])
	}
	return owners, err
}

func epochWithoutTerm(c *Cluster, _ *mesh.Memory) {
	c.read(func(o *mesh.Owner) { o.Epoch = o.Life() << 16 })
}

// rowsExpire keeps only the first time at which a row was added.
func rowsExpire(c *Cluster, _ *mesh.Memory) {
	s := mesh.NewMemory(&mesh.MemoryOptions{RowTTL: time.Hour})
	c.Advance = s.Advance
	c.Mesh = func(namespace, _ string) mesh.Mesh { return s.Mesh(namespace) }
	added := map[string]bool{}
	c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
		return &otherMesh{Mesh: m, lookup: &onceLookup{m.Lookup(), added}}
	})
}

type onceLookup struct {
	mesh.Lookup
	added map[string]bool
}

func (l *onceLookup) Add(ctx context.Context, claims ...mesh.Claim) error {
	if l.added[claims[0].Client] {
		return nil
	}
	l.added[claims[0].Client] = true
	return l.Lookup.Add(ctx, claims...)
}
