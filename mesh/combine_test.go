package mesh_test

import (
	"strings"
	"testing"
	"time"

	"github.com/goape/ape/mesh"
	"github.com/goape/ape/mesh/meshtest"
)

// combined keeps rows in one Memory and carries frames by another.
func combined() *meshtest.Cluster {
	rows, carrier := cluster(nil), cluster(nil)
	c := *rows
	c.Mesh = func(namespace, id string) mesh.Mesh {
		return mesh.Combine(rows.Mesh(namespace, id), carrier.Mesh(namespace, id).Channels())
	}
	c.Cut = carrier.Cut
	c.Stop = func() { rows.Stop(); carrier.Stop() }
	c.Start = func() { rows.Start(); carrier.Start() }
	c.Left = func(namespace string) []string { return append(rows.Left(namespace), carrier.Left(namespace)...) }
	return &c
}

func TestCombine(t *testing.T) {
	meshtest.RunInBubbles(t, func(*testing.T) *meshtest.Cluster { return combined() })
}

func TestCombineTakesTraitsFromBoth(t *testing.T) {
	rows := mesh.NewMemory(&mesh.MemoryOptions{RowTTL: time.Hour, MaxFrame: 5000, Spacing: time.Minute})
	carrier := mesh.NewMemory(&mesh.MemoryOptions{RowTTL: time.Second, MaxFrame: 6000, Spacing: time.Second, Durable: true})
	m := mesh.Combine(rows.Mesh("shop"), carrier.Mesh("shop").Channels())
	want := mesh.Traits{Namespace: "shop", MaxFrame: 6000, Durable: true, Spacing: time.Second, RowTTL: time.Hour}
	if got := m.Channels().Traits(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCombineOfTwoNamespacesIsRefused(t *testing.T) {
	m := mesh.Combine(mesh.NewMemory(nil).Mesh("one"), mesh.NewMemory(nil).Mesh("two").Channels())
	_, joined := m.Join(t.Context(), mesh.Member{ID: "a", Epoch: 1 << 16}, time.Minute, nil)
	_, pulled := m.Channels().Pull(t.Context(), "a")
	for _, err := range []error{joined, pulled} {
		if err == nil || !strings.Contains(err.Error(), `namespace "one" and a carrier in namespace "two"`) {
			t.Errorf("got %v", err)
		}
	}
}

type explainingChannels struct {
	mesh.Channels
	text string
}

func (e explainingChannels) Explain(error) string { return e.text }

type explainingRows struct {
	mesh.Mesh
	text string
}

func (e explainingRows) Explain(error) string { return e.text }

func TestCombineExplainsWithBoth(t *testing.T) {
	inner := mesh.NewMemory(nil).Mesh("")
	for _, x := range []struct{ carrier, rows, want string }{{"carrier", "rows", "carrier"}, {"", "rows", "rows"}, {"", "", ""}} {
		m := mesh.Combine(explainingRows{inner, x.rows}, explainingChannels{inner.Channels(), x.carrier})
		if got := m.(mesh.Explainer).Explain(nil); got != x.want {
			t.Errorf("got %q, want %q", got, x.want)
		}
	}
	if got := mesh.Combine(inner, inner.Channels()).(mesh.Explainer).Explain(nil); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}
