package mesh_test

import (
	"testing"

	"github.com/goape/ape/mesh/meshtest"
)

func BenchmarkMemory(b *testing.B) {
	meshtest.Bench(b, func(*testing.B) *meshtest.Cluster { return cluster(nil) })
}
