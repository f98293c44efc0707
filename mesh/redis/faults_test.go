package redis_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape/mesh"
	meshredis "github.com/goape/ape/mesh/redis"
	"github.com/redis/go-redis/v9"
)

func join(t *testing.T, c redis.UniversalClient, id string) *meshredis.Mesh {
	t.Helper()
	m := meshredis.New(c, nil)
	if _, err := m.Join(t.Context(), mesh.Member{ID: id, Epoch: 1 << 16}, time.Minute, []byte("key")); err != nil {
		t.Fatal(err)
	}
	return m
}

func pull(t *testing.T, m *meshredis.Mesh, id string) mesh.Inbox {
	t.Helper()
	inbox, err := m.Channels().Pull(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inbox.Close() })
	return inbox
}

func receive(t *testing.T, inbox mesh.Inbox) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	body, err := inbox.Receive(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("nothing was received within %v", guard)
	}
	return body, err
}

// shortly is a context that ends soon.
func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func number(n, size int) []byte {
	body := make([]byte, size)
	binary.BigEndian.PutUint64(body, uint64(n))
	return body
}

func TestMembersWhoDoNotListenAreNamed(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, c redis.UniversalClient) {
		m := join(t, c, "a")
		pull(t, m, "a")
		err := m.Channels().Push(t.Context(), mesh.Frame{To: "b"}, mesh.Frame{To: "a"}, mesh.Frame{To: mesh.All}, mesh.Frame{To: "c"}, mesh.Frame{To: "b"})
		var unheard *mesh.UnheardError
		if !errors.As(err, &unheard) || fmt.Sprint(unheard.To) != "[b c]" {
			t.Errorf("got %v, want an UnheardError of b and c", err)
		}
		if err := m.Channels().Push(t.Context(), mesh.Frame{To: "b"}); !errors.As(err, &unheard) || fmt.Sprint(unheard.To) != "[b]" {
			t.Errorf("got %v, want an UnheardError of b", err)
		}
		if err := m.Channels().Push(t.Context(), mesh.Frame{To: "a"}); err != nil {
			t.Error(err)
		}
	}
	t.Run("one server", func(t *testing.T) {
		c := startServer(t).client(nil)
		defer c.Close()
		check(t, c)
	})
	t.Run("Redis Cluster", func(t *testing.T) {
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{startCluster(t)[0].address}})
		defer c.Close()
		check(t, c)
	})
}

// Redis cuts who does not read. The Inbox goes on behind the loss, and says so.
func TestOverflowIsTold(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--client-output-buffer-limit", "pubsub 1mb 1mb 1")
	c := s.client(nil)
	defer c.Close()
	m := join(t, c, "a")
	inbox := pull(t, m, "b")
	const size, frames = 256 << 10, 160
	for n := range frames {
		err := m.Channels().Push(t.Context(), mesh.Frame{To: "b", Body: number(n, size)})
		if err != nil && !errors.As(err, new(*mesh.UnheardError)) {
			t.Fatal(err)
		}
	}
	next, told := 0, 0
	for told == 0 {
		body, err := receive(t, inbox)
		if err != nil {
			if !errors.Is(err, mesh.ErrInterrupted) {
				t.Fatal(err)
			}
			told++
			continue
		}
		if n := int(binary.BigEndian.Uint64(body)); n != next {
			t.Fatalf("got frame %d, want %d: nothing was told of a loss", n, next)
		}
		next++
	}
	if next == 0 || next == frames {
		t.Errorf("%d frames of %d were received before the loss", next, frames)
	}
	for { // to the end of what waits, and to where it listens again
		ctx := shortly(t)
		body, err := inbox.Receive(ctx)
		switch {
		case err == nil && int(binary.BigEndian.Uint64(body)) == frames:
			return
		case ctx.Err() != nil:
			err := m.Channels().Push(t.Context(), mesh.Frame{To: "b", Body: number(frames, 8)})
			if err != nil && !errors.As(err, new(*mesh.UnheardError)) {
				t.Fatal(err)
			}
		}
	}
}

func TestCallsEndWithTheirContextWhenRedisHangs(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.client(func(o *redis.Options) { o.ReadTimeout = guard })
	defer c.Close()
	m := join(t, c, "a")
	inbox := pull(t, m, "a")
	goOn := s.hang()
	defer goOn()

	body := []byte("first")
	for what, err := range map[string]error{
		"Push":  m.Channels().Push(shortly(t), mesh.Frame{To: "a", Body: body}),
		"Renew": m.Renew(shortly(t)),
		"Read":  func() error { _, err := m.Lookup().Read(shortly(t), "client"); return err }(),
		"Pull":  func() error { _, err := m.Channels().Pull(shortly(t), "b"); return err }(),
	} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want context.DeadlineExceeded", what, err)
		}
	}
	clear(body) // what was given up may still be on its way, with what it was
	// The next Push waits for it, so that they stay in order.
	if err := m.Channels().Push(shortly(t), mesh.Frame{To: "a", Body: []byte("given up")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Push: got %v, want context.DeadlineExceeded", err)
	}
	goOn()
	if err := m.Channels().Push(t.Context(), mesh.Frame{To: "a", Body: []byte("second")}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "second"} {
		if got, err := receive(t, inbox); string(got) != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestAnInboxThatIsNotAnsweredFails(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.client(nil)
	defer c.Close()
	m := join(t, c, "a")
	m.SetPatience(time.Second)
	inbox := pull(t, m, "a")

	// While it answers, silence is no failure.
	quiet, cancel := context.WithTimeout(t.Context(), 5*time.Second/2)
	defer cancel()
	if _, err := inbox.Receive(quiet); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want silence", err)
	}
	goOn := s.hang()
	defer goOn()
	if _, err := receive(t, inbox); err == nil || errors.Is(err, mesh.ErrInterrupted) {
		t.Fatalf("got %v, want an error that ends the Inbox", err)
	}
	if err := inbox.Close(); err != nil {
		t.Fatal(err)
	}
	goOn()
	pull(t, m, "a")
}

func TestPullFailsAtOnceWithoutServer(t *testing.T) {
	t.Parallel()
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: scratch(t) + "/none"})
	defer c.Close()
	m := meshredis.New(c, nil)
	_, err := m.Channels().Pull(t.Context(), "a")
	if err == nil {
		t.Fatal("Pull without a server returned no error")
	}
	if why := m.Explain(err); !strings.Contains(why, "does not reach Redis") {
		t.Errorf("Explain(%v) = %q", err, why)
	}
}

// When a channel's slot moves to another node, the server ends the subscription.
func TestSlotsThatMove(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t)
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{nodes[0].address, nodes[1].address, nodes[2].address}})
	defer c.Close()
	m := join(t, c, "a")
	inbox := pull(t, m, "b")

	ctx := t.Context()
	slot := int(c.ClusterKeySlot(ctx, "ape:in:b").Val())
	to := 0
	if slot < 16384/3 {
		to = 1
	}
	target := nodes[to].client(nil)
	defer target.Close()
	id, err := target.Do(ctx, "cluster", "myid").Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append([]*server{nodes[to]}, nodes...) {
		node := s.client(nil)
		defer node.Close()
		if err := node.Do(ctx, "cluster", "setslot", slot, "node", id).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := receive(t, inbox); err == nil || errors.Is(err, mesh.ErrInterrupted) {
		t.Fatalf("got %v, want an error that ends the Inbox", err)
	}
	_ = inbox.Close()
	await(t, "the channel is listened at where it is now", func() bool {
		inbox, err = m.Channels().Pull(ctx, "b")
		return err == nil
	})
	defer inbox.Close()
	if err := m.Channels().Push(ctx, mesh.Frame{To: "b", Body: []byte("moved")}); err != nil {
		t.Fatal(err)
	}
	if got, err := receive(t, inbox); string(got) != "moved" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEvictionIsWarnedOf(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		memory, policy string
		warns          bool
	}{
		{"100mb", "allkeys-lru", true},
		{"100mb", "volatile-ttl", true},
		{"100mb", "noeviction", false},
		{"0", "allkeys-lru", false},
	} {
		t.Run(x.policy+" at "+x.memory, func(t *testing.T) {
			c := startServer(t, "--maxmemory", x.memory, "--maxmemory-policy", x.policy).client(nil)
			defer c.Close()
			var log bytes.Buffer
			m := meshredis.New(c, &meshredis.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for term := range uint64(2) {
				if _, err := m.Join(t.Context(), mesh.Member{ID: "a", Epoch: 1<<16 | term}, time.Minute, nil); err != nil {
					t.Fatal(err)
				}
			}
			want := 0
			if x.warns {
				want = 1
			}
			if got := strings.Count(log.String(), "maxmemory-policy="+x.policy); got != want {
				t.Errorf("got %d warnings, want %d:\n%s", got, want, &log)
			}
		})
	}
}
