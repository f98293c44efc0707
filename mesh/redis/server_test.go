package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const guard = 30 * time.Second

// silent is a log: go-redis tells of every connection that is lost.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	os.Exit(m.Run())
}

// missing ends a test for something that the machine lacks: as skipped, or as
// failed where it must be there.
func missing(t testing.TB, name, why string) {
	t.Helper()
	required := strings.Split(os.Getenv("APE_REQUIRE"), ",")
	if os.Getenv("CI") != "" || slices.Contains(required, "all") || slices.Contains(required, name) {
		t.Fatalf("%s is required and missing: %s", name, why)
	}
	t.Skipf("%s is missing: %s", name, why)
}

// server is a redis-server of a test's own.
type server struct {
	t       testing.TB
	address string
	args    []string
	process *exec.Cmd
	log     bytes.Buffer
}

// startServer starts one, without persistence, on a socket in a directory of its
// own.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	dir := scratch(t)
	socket := filepath.Join(dir, "redis.sock")
	s := &server{t: t, address: socket, args: append([]string{"--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "no"}, args...)}
	s.start()
	t.Cleanup(s.end)
	return s
}

// scratch is a directory with a short name, as sockets need.
func scratch(t testing.TB) string {
	dir, err := os.MkdirTemp("", "ape-redis-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *server) start() {
	s.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		missing(s.t, "redis-server", err.Error())
	}
	s.process = exec.Command(path, s.args...)
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	c := s.client(nil)
	defer c.Close()
	await(s.t, "redis-server answers", func() bool {
		err := c.Ping(context.Background()).Err()
		return err == nil || errors.As(err, new(redis.Error)) // it says no, but something
	})
}

// stop kills it: what it held is gone.
func (s *server) stop() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	_ = os.Remove(s.address)
}

func (s *server) end() {
	s.stop()
	if s.t.Failed() {
		s.t.Logf("redis-server says:\n%s", &s.log)
	}
}

// hang stops it without ending it; the function lets it go on.
func (s *server) hang() (goOn func()) {
	_ = s.process.Process.Signal(syscall.SIGSTOP)
	return func() { _ = s.process.Process.Signal(syscall.SIGCONT) }
}

// client is a new client of this server. change may be nil.
func (s *server) client(change func(o *redis.Options)) *redis.Client {
	o := &redis.Options{Network: "unix", Addr: s.address}
	if strings.Contains(s.address, ":") {
		o.Network = "tcp"
	}
	if change != nil {
		change(o)
	}
	return redis.NewClient(o)
}

// await polls for what another process does.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(guard); !done(); <-ticker.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", guard, what)
		}
	}
}

// startCluster starts a Redis Cluster of three nodes.
func startCluster(t testing.TB) []*server {
	t.Helper()
	var nodes []*server
	var ports, buses []int
	for range 3 {
		port, bus := freePort(t), freePort(t)
		s := &server{t: t, address: "127.0.0.1:" + strconv.Itoa(port), args: []string{
			"--port", strconv.Itoa(port), "--cluster-port", strconv.Itoa(bus), "--bind", "127.0.0.1", "--dir", scratch(t), "--save", "", "--appendonly", "no",
			"--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-require-full-coverage", "no",
		}}
		s.start()
		t.Cleanup(s.end)
		nodes, ports, buses = append(nodes, s), append(ports, port), append(buses, bus)
	}
	ctx := t.Context()
	for i, s := range nodes {
		c := s.client(nil)
		defer c.Close()
		if err := c.ClusterAddSlotsRange(ctx, i*16384/3, (i+1)*16384/3-1).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.Do(ctx, "cluster", "set-config-epoch", i+1).Err(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := c.Do(ctx, "cluster", "meet", "127.0.0.1", ports[0], buses[0]).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	awaitCluster(t, nodes)
	return nodes
}

// awaitCluster waits until every node knows of all slots.
func awaitCluster(t testing.TB, nodes []*server) {
	t.Helper()
	ctx := context.Background()
	for _, s := range nodes {
		c := s.client(nil)
		defer c.Close()
		await(t, "the cluster is complete", func() bool {
			info, _ := c.ClusterInfo(ctx).Result()
			slots, _ := c.ClusterSlots(ctx).Result()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384") && len(slots) == 3
		})
	}
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// held lists what a server holds whose name begins so, but for the shared key,
// and the connections that listen.
func held(c *redis.Client, namespace string) (names []string) {
	ctx := context.Background()
	keys, err := c.Keys(ctx, namespace+":*").Result()
	for _, key := range keys {
		if key != namespace+":{mesh}:key" {
			names = append(names, "key "+key)
		}
	}
	channels, err2 := c.PubSubChannels(ctx, namespace+":*").Result()
	shards, err3 := c.PubSubShardChannels(ctx, namespace+":*").Result()
	for _, channel := range append(channels, shards...) {
		names = append(names, "channel "+channel)
	}
	listening, err4 := c.Do(ctx, "client", "list", "type", "pubsub").Text()
	for line := range strings.Lines(listening) {
		names = append(names, "connection "+strings.TrimSpace(line))
	}
	for _, err := range []error{err, err2, err3, err4} {
		if err != nil {
			names = append(names, fmt.Sprint("nothing is known: ", err))
		}
	}
	return names
}

// age takes d from the time that all keys have left.
func age(t testing.TB, c *redis.Client, d time.Duration) {
	ctx := context.Background()
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		left, err := c.PTTL(ctx, key).Result()
		switch {
		case err != nil:
			t.Fatal(err)
		case left > d:
			err = c.PExpire(ctx, key, left-d).Err()
		case left > 0:
			err = c.Del(ctx, key).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
