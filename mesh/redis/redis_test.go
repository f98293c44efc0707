package redis_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goape/ape/mesh"
	"github.com/goape/ape/mesh/meshtest"
	meshredis "github.com/goape/ape/mesh/redis"
	"github.com/redis/go-redis/v9"
)

// trips counts a client's round trips.
type trips struct{ n atomic.Int64 }

func (h *trips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.n.Add(1)
		return next(ctx, cmd)
	}
}

func (h *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.n.Add(1)
		return next(ctx, cmds)
	}
}

// cluster is a server as the suite sees it, through one client for all members.
func (s *server) cluster(t testing.TB) *meshtest.Cluster {
	c, counted := s.client(nil), &trips{}
	t.Cleanup(func() { _ = c.Close() })
	c.AddHook(counted)
	control := s.client(func(o *redis.Options) { o.MaxRetries = 10 })
	t.Cleanup(func() { _ = control.Close() })
	ctx := context.Background()
	return &meshtest.Cluster{
		Mesh: func(namespace, _ string) mesh.Mesh {
			return meshredis.New(c, &meshredis.Options{Namespace: namespace})
		},
		Cut: func() {
			for _, kind := range []string{"pubsub", "normal"} {
				if err := control.ClientKillByFilter(ctx, "TYPE", kind, "SKIPME", "yes").Err(); err != nil {
					t.Error(err)
				}
			}
		},
		Stop:  s.stop,
		Start: s.start,
		Wipe: func() {
			if err := control.FlushAll(ctx).Err(); err != nil {
				t.Error(err)
			}
		},
		Advance: func(d time.Duration) { age(t, control, d) },
		Trips:   func() int { return int(counted.n.Load()) },
		Left:    func(namespace string) []string { return held(control, namespace) },
	}
}

func TestBackend(t *testing.T) {
	s := startServer(t)
	meshtest.Run(t, func(t *testing.T) *meshtest.Cluster { return s.cluster(t) })
}

func TestBackendOnRedisCluster(t *testing.T) {
	nodes := startCluster(t)
	meshtest.Run(t, func(t *testing.T) *meshtest.Cluster { return clusterOf(t, nodes) })
}

// clusterOf is a Redis Cluster as the suite sees it.
func clusterOf(t testing.TB, nodes []*server) *meshtest.Cluster {
	var addresses []string
	for _, s := range nodes {
		addresses = append(addresses, s.address)
	}
	c, counted := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses}), &trips{}
	t.Cleanup(func() { _ = c.Close() })
	c.AddHook(counted)
	var each []*meshtest.Cluster
	for _, s := range nodes {
		each = append(each, s.cluster(t))
	}
	return &meshtest.Cluster{
		Mesh: func(namespace, _ string) mesh.Mesh {
			return meshredis.New(c, &meshredis.Options{Namespace: namespace})
		},
		Cut: func() {
			for _, one := range each {
				one.Cut()
			}
		},
		Stop: func() {
			for _, s := range nodes {
				s.stop()
			}
		},
		Start: func() {
			for _, s := range nodes {
				s.start()
			}
			awaitCluster(t, nodes)
		},
		Wipe: func() {
			for _, one := range each {
				one.Wipe()
			}
		},
		Advance: func(d time.Duration) {
			for _, one := range each {
				one.Advance(d)
			}
		},
		Trips: func() int { return int(counted.n.Load()) },
		Left: func(namespace string) (left []string) {
			for _, one := range each {
				left = append(left, one.Left(namespace)...)
			}
			return left
		},
	}
}
