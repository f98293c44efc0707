package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape/mesh"
	meshredis "github.com/goape/ape/mesh/redis"
	"github.com/redis/go-redis/v9"
)

func TestClientsThatAreRefused(t *testing.T) {
	t.Parallel()
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": "127.0.0.1:1"}})
	defer ring.Close()
	for name, x := range map[string]struct {
		client redis.UniversalClient
		says   string
	}{
		"a Ring":               {ring, "a Ring spreads"},
		"nothing":              {nil, "pass a *redis.Client"},
		"no Client":            {(*redis.Client)(nil), "is nil"},
		"no ClusterClient":     {(*redis.ClusterClient)(nil), "is nil"},
		"a client of somebody": {struct{ *redis.Client }{}, "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			m := meshredis.New(x.client, nil)
			_, joined := m.Join(t.Context(), mesh.Member{ID: "a", Epoch: 1 << 16}, time.Minute, nil)
			_, pulled := m.Channels().Pull(t.Context(), "a")
			pushed := m.Channels().Push(t.Context(), mesh.Frame{To: "a"})
			_, found := m.Members(t.Context())
			_, read := m.Lookup().Read(t.Context(), "client")
			_, swept := m.Lookup().Sweep(t.Context())
			for _, err := range []error{joined, pulled, pushed, found, read, swept} {
				if err == nil || !strings.Contains(err.Error(), x.says) {
					t.Errorf("got %v, want an error with %q", err, x.says)
				}
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	one := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer one.Close()
	many := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	defer many.Close()
	for _, client := range []any{one, many} {
		m, err := mesh.Open(client, "shop")
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Channels().Traits(); got.Namespace != "shop" || got.MaxFrame != 1<<20 || got.RowTTL != time.Hour || got.Durable {
			t.Errorf("%T: traits %+v", client, got)
		}
		if m, err = mesh.Open(client, ""); err != nil || m.Channels().Traits().Namespace != "ape" {
			t.Errorf("%T: namespace %q, %v", client, m.Channels().Traits().Namespace, err)
		}
	}
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": "127.0.0.1:1"}})
	defer ring.Close()
	if _, err := mesh.Open(ring, ""); err == nil || !strings.Contains(err.Error(), "a Ring spreads") {
		t.Errorf("Open of a Ring: %v", err)
	}
	if _, err := mesh.Open(redis.Client{}, ""); err == nil || !strings.Contains(err.Error(), "pass a pointer, a *redis.Client") {
		t.Errorf("Open of a value: %v", err)
	}
}

// What the documentation asks of an ACL user is enough.
func TestACLUserOfTheDocumentation(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	admin := s.client(nil)
	defer admin.Close()
	rules := []any{"acl", "setuser", "mesh", "on", ">secret", "~ape:*", "&ape:*", "-@all",
		"+publish", "+subscribe", "+unsubscribe", "+eval", "+evalsha", "+get", "+mget", "+smembers", "+info", "+ping",
		"+set", "+del", "+pexpire", "+sadd", "+srem", "+exists"}
	if err := admin.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	c := s.client(func(o *redis.Options) { o.Username, o.Password = "mesh", "secret" })
	defer c.Close()
	m := meshredis.New(c, nil)
	inbox := pull(t, m, "a")
	join(t, c, "a")
	m = join(t, c, "a")
	one := mesh.Claim{Client: "client", Gen: 1}
	_, read := m.Lookup().Read(t.Context(), "client")
	_, found := m.Members(t.Context())
	_, swept := m.Lookup().Sweep(t.Context())
	err := errors.Join(m.Renew(t.Context()), m.Lookup().Add(t.Context(), one), m.Lookup().Remove(t.Context(), one), read, found, swept,
		m.Channels().Push(t.Context(), mesh.Frame{To: "a", Body: []byte("hello")}), m.Leave(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := receive(t, inbox); string(got) != "hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}

	// Another namespace is not his.
	other := meshredis.New(c, &meshredis.Options{Namespace: "other"})
	_, joined := other.Join(t.Context(), mesh.Member{ID: "a", Epoch: 1 << 16}, time.Minute, nil)
	_, pulled := other.Channels().Pull(t.Context(), "a")
	for _, err := range []error{joined, pulled, other.Channels().Push(t.Context(), mesh.Frame{To: "a"})} {
		if why := other.Explain(err); !strings.Contains(why, "allow it ~other:* &other:*") {
			t.Errorf("Explain(%v) = %q", err, why)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, says string
		args       []string
		options    func(o *redis.Options)
	}{
		{"a password is wanted", "wants a password", []string{"--requirepass", "secret"}, nil},
		{"a password is wrong", "does not accept", []string{"--requirepass", "secret"}, func(o *redis.Options) { o.Username, o.Password = "default", "wrong" }},
		{"a replica", "connected to a replica", []string{"--replicaof", "127.0.0.1", "1"}, nil},
		{"memory is full", "reached its maxmemory", []string{"--maxmemory", "100kb"}, nil},
		{"a command is missing", "lacks a command", []string{"--rename-command", "EVALSHA", ""}, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := startServer(t, x.args...).client(x.options)
			defer c.Close()
			explains(t, c, x.says)
		})
	}
	t.Run("no cluster", func(t *testing.T) {
		s := startServer(t)
		// A ClusterClient reads the addresses of nodes only, so it dials the socket.
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{s.address}, NewClient: func(o *redis.Options) *redis.Client {
			o.Network, o.Addr = "unix", s.address
			return redis.NewClient(o)
		}})
		defer c.Close()
		explains(t, c, "is no Redis Cluster")
	})
	t.Run("a node of a cluster", func(t *testing.T) {
		for _, s := range startCluster(t) {
			c := s.client(nil)
			defer c.Close()
			m := meshredis.New(c, nil)
			_, err := m.Join(t.Context(), mesh.Member{ID: "a", Epoch: 1 << 16}, time.Minute, nil)
			if err == nil {
				continue // the node that has the records
			}
			if why := m.Explain(err); !strings.Contains(why, "use a *redis.ClusterClient") {
				t.Errorf("Explain(%v) = %q", err, why)
			}
		}
	})
	t.Run("nothing comes back", func(t *testing.T) {
		if why := meshredis.New(nil, nil).Explain(nil); !strings.Contains(why, "does not come back") {
			t.Errorf("Explain(nil) = %q", why)
		}
	})
}

func explains(t *testing.T, c redis.UniversalClient, says string) {
	t.Helper()
	m := meshredis.New(c, nil)
	_, err := m.Join(t.Context(), mesh.Member{ID: "a", Epoch: 1 << 16}, time.Minute, []byte("key"))
	if err == nil {
		t.Fatal("Join returned no error")
	}
	if why := m.Explain(err); !strings.Contains(why, says) {
		t.Errorf("Explain(%v) = %q, want %q in it", err, why, says)
	}
}
