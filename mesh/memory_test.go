package mesh_test

import (
	"fmt"
	"testing"

	"github.com/goape/ape/mesh"
	"github.com/goape/ape/mesh/meshtest"
)

// cluster is a Memory as the suite sees it.
func cluster(o *mesh.MemoryOptions) *meshtest.Cluster {
	s := mesh.NewMemory(o)
	return &meshtest.Cluster{
		Mesh:    func(namespace, _ string) mesh.Mesh { return s.Mesh(namespace) },
		Cut:     func() { s.Cut() },
		Stop:    func() { s.Stop() },
		Start:   func() { s.Start() },
		Wipe:    s.Wipe,
		Advance: s.Advance,
		Trips:   func() int { return int(s.Stats().Calls) },
		Left: func(string) (left []string) {
			if st := s.Stats(); st.Records+st.Rows+st.Inboxes+st.Waiting > 0 {
				left = append(left, fmt.Sprintf("%+v", st))
			}
			return left
		},
	}
}

func TestMemory(t *testing.T) {
	meshtest.Run(t, func(*testing.T) *meshtest.Cluster { return cluster(nil) })
}
