package meshtest

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goape/ape/mesh"
)

// A mutant breaks one rule. The case must notice.
type mutant struct {
	rule  string // how the name of the case begins
	does  string
	apply func(c *Cluster, s *mesh.Memory)
}

func TestEachBrokenRuleFailsItsCase(t *testing.T) {
	mutants := slices.Concat(rowMutants(), leaseMutants(), recordMutants(), frameMutants(), endMutants())
	for _, r := range rules() {
		var mine []mutant
		for _, m := range mutants {
			if strings.HasPrefix(r.name, m.rule) {
				mine = append(mine, m)
			}
		}
		if len(mine) == 0 {
			t.Errorf("no mutant breaks %q", r.name)
		}
		for _, m := range mine {
			t.Run(r.name+"/"+m.does, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, s := sound(nil)
					m.apply(c, s)
					rec := &recorder{TB: t}
					rec.try(r, c)
					t.Log(rec.text)
					if !rec.failed {
						t.Errorf("the case passes a backend that is broken\n%s", rec.text)
					}
				})
			})
		}
	}
}

func TestBackendsThatKeepTheRulesPass(t *testing.T) {
	backends := map[string]func(c *Cluster, s *mesh.Memory){
		"memory": func(*Cluster, *mesh.Memory) {},
		"memory that does not tell": func(c *Cluster, _ *mesh.Memory) {
			*c, _ = plain(&mesh.MemoryOptions{Deaf: true})
		},
		"memory whose rows expire": func(c *Cluster, _ *mesh.Memory) {
			*c, _ = plain(&mesh.MemoryOptions{RowTTL: lease})
		},
		"memory with small inboxes and frames": func(c *Cluster, _ *mesh.Memory) {
			*c, _ = plain(&mesh.MemoryOptions{MaxInbox: 1 << 20, MaxFrame: 8 << 10})
		},
		"nothing but Mesh": func(c *Cluster, _ *mesh.Memory) { *c = Cluster{Mesh: c.Mesh} },
	}
	for name, apply := range backends {
		for _, r := range rules() {
			t.Run(name+"/"+r.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, s := sound(nil)
					apply(c, s)
					rec := &recorder{TB: t}
					rec.try(r, c)
					if rec.failed {
						t.Error(rec.text)
					}
					if needed := name == "nothing but Mesh" && len(r.needs) > 0; rec.skipped != needed {
						t.Errorf("skipped: got %v, want %v\n%s", rec.skipped, needed, rec.text)
					}
				})
			})
		}
	}
}

// plain is sound, for assigning.
func plain(o *mesh.MemoryOptions) (Cluster, *mesh.Memory) {
	c, s := sound(o)
	return *c, s
}

// A table of rows that is not changed passes, so the changes are what fails.
func TestTheTableOfTheMutantsKeepsTheRules(t *testing.T) {
	for _, r := range rules()[:9] {
		synctest.Test(t, func(t *testing.T) {
			c, _ := sound(nil)
			c.rows(&table{})
			rec := &recorder{TB: t}
			if rec.try(r, c); rec.failed && r.name[:2] != "04" {
				t.Errorf("%s: %s", r.name, rec.text)
			}
		})
	}
}
