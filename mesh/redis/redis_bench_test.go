package redis_test

import (
	"testing"

	"github.com/goape/ape/mesh/meshtest"
)

func BenchmarkBackend(b *testing.B) {
	s := startServer(b)
	meshtest.Bench(b, func(b *testing.B) *meshtest.Cluster { return s.cluster(b) })
}

func BenchmarkBackendOnRedisCluster(b *testing.B) {
	nodes := startCluster(b)
	meshtest.Bench(b, func(b *testing.B) *meshtest.Cluster { return clusterOf(b, nodes) })
}

// BenchmarkBare is what the backend stands on: a PUBLISH that is heard.
func BenchmarkBare(b *testing.B) {
	c := startServer(b).client(nil)
	defer c.Close()
	heard := c.Subscribe(b.Context(), "channel")
	defer heard.Close()
	if _, err := heard.Receive(b.Context()); err != nil {
		b.Fatal(err)
	}
	body := number(0, 128)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Publish(b.Context(), "channel", body).Err(); err != nil {
			b.Fatal(err)
		}
		if _, err := heard.Receive(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
