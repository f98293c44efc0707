package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/goape/ape/mesh"
	"github.com/redis/go-redis/v9"
)

func init() {
	mesh.Register("redis", func(c *redis.Client, namespace string) (mesh.Mesh, error) {
		return New(c, &Options{Namespace: namespace}), nil
	})
	mesh.Register("redis", func(c *redis.ClusterClient, namespace string) (mesh.Mesh, error) {
		return New(c, &Options{Namespace: namespace}), nil
	})
}

const (
	maxFrame  = 1 << 20
	rowTTL    = time.Hour
	idsTTL    = 24 * time.Hour
	rowsACall = 1000
)

// Options are what the client does not say. The zero value is the default.
type Options struct {
	Namespace string       // the name of this mesh in the store; "ape"
	Logger    *slog.Logger // for warnings; slog.Default()
}

// Mesh is one member's way to a Redis. It implements [mesh.Mesh] and
// [mesh.Explainer].
type Mesh struct {
	client    redis.UniversalClient
	cluster   bool // speaks the commands of Redis Cluster
	namespace string
	logger    *slog.Logger
	wrong     error // the client cannot be used
	patience  time.Duration

	pushing chan []byte // holds the buffer of Push while none runs
	warned  sync.Once

	mu    sync.Mutex
	self  mesh.Member
	lease time.Duration
	has   bool // self is set
}

var _ mesh.Explainer = (*Mesh)(nil)

// New returns a Mesh over a *redis.Client or a *redis.ClusterClient. It never
// fails: what is wrong is returned by Join and by Pull. The options may be nil.
func New(client redis.UniversalClient, o *Options) *Mesh {
	m := &Mesh{client: client, namespace: mesh.DefaultNamespace, logger: slog.Default(), patience: defaultPatience, pushing: make(chan []byte, 1)}
	m.pushing <- nil
	if o != nil && o.Namespace != "" {
		m.namespace = o.Namespace
	}
	if o != nil && o.Logger != nil {
		m.logger = o.Logger
	}
	switch c := client.(type) {
	case *redis.Client:
		if c == nil {
			m.wrong = errors.New("mesh: redis: the client is nil")
		}
	case *redis.ClusterClient:
		m.cluster = true
		if c == nil {
			m.wrong = errors.New("mesh: redis: the client is nil")
		}
	case *redis.Ring:
		m.wrong = errors.New("mesh: redis: a Ring spreads keys and channels over servers that know nothing of each other: " +
			"pass the *redis.Client of one of them, or a *redis.ClusterClient")
	default:
		m.wrong = fmt.Errorf("mesh: redis: a %T cannot be used: pass a *redis.Client or a *redis.ClusterClient", client)
	}
	return m
}

// Lookup implements [mesh.Mesh].
func (m *Mesh) Lookup() mesh.Lookup { return lookup{m} }

// Channels implements [mesh.Mesh].
func (m *Mesh) Channels() mesh.Channels { return channels{m} }

// check returns what is wrong with how the Mesh was made.
func (m *Mesh) check() error {
	if m.wrong != nil {
		return m.wrong
	}
	return mesh.CheckNamespace(m.namespace)
}

// me is who Join was called for.
func (m *Mesh) me() (self mesh.Member, lease time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.has {
		return self, 0, errNotJoined
	}
	return m.self, m.lease, nil
}

var errNotJoined = errors.New("mesh: redis: not joined: call Join first")

// The records are in one slot of a cluster, so that a script can use them
// together. Rows spread.
func (m *Mesh) recordKey(id string) string  { return m.namespace + ":{mesh}:m:" + id }
func (m *Mesh) membersKey() string          { return m.namespace + ":{mesh}:members" }
func (m *Mesh) sharedKey() string           { return m.namespace + ":{mesh}:key" }
func (m *Mesh) rowKey(client string) string { return m.namespace + ":c:" + client }

func (m *Mesh) channel(to string) string {
	if to == mesh.All {
		return m.namespace + ":all"
	}
	return m.namespace + ":in:" + to
}

// within returns what call does, or the context's error as soon as it ends. A
// client heeds contexts between its reads and writes only, unless it was told
// otherwise. A call that is given up goes on for as long as the client's
// timeouts let it.
func within[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	if err := ctx.Err(); err != nil {
		return *new(T), err
	}
	done := make(chan result, 1)
	go func() {
		value, err := call()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return *new(T), ctx.Err()
	}
}
