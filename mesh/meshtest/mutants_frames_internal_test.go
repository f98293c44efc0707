package meshtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/goape/ape/mesh"
)

func frameMutants() []mutant {
	push := func(f func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error) func(*Cluster, *mesh.Memory) {
		return func(c *Cluster, _ *mesh.Memory) { c.push(f) }
	}
	receive := func(f func(ctx context.Context, inner mesh.Inbox) ([]byte, error)) func(*Cluster, *mesh.Memory) {
		return func(c *Cluster, _ *mesh.Memory) { c.receive(f) }
	}
	changed := func(f func(frames []mesh.Frame) []mesh.Frame) func(*Cluster, *mesh.Memory) {
		return push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
			return inner.Push(ctx, f(slices.Clone(frames))...)
		})
	}
	bodies := func(f func(body []byte) []byte) func(*Cluster, *mesh.Memory) {
		return receive(func(ctx context.Context, inner mesh.Inbox) ([]byte, error) {
			body, err := inner.Receive(ctx)
			if err != nil {
				return nil, err
			}
			return f(body), nil
		})
	}
	return []mutant{
		{"19", "Pull returns before it listens", lateListener},
		{"19", "the newest process of an ID alone hears", newestAlone},
		{"20", "everybody hears all", changed(func(frames []mesh.Frame) []mesh.Frame {
			for i := range frames {
				frames[i].To = mesh.All
			}
			return frames
		})},
		{"20", "a target is taken by its beginning", func(c *Cluster, _ *mesh.Memory) {
			c.pull(func(ctx context.Context, inner mesh.Channels, id string) (mesh.Inbox, error) {
				return inner.Pull(ctx, id[:1])
			})
			c.push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
				frames = slices.Clone(frames)
				for i := range frames {
					frames[i].To = frames[i].To[:min(1, len(frames[i].To))]
				}
				return inner.Push(ctx, frames...)
			})
		}},
		{"21", "frames to all are carried twice", changed(func(frames []mesh.Frame) []mesh.Frame {
			for _, f := range slices.Clone(frames) {
				if f.To == mesh.All {
					frames = append(frames, f)
				}
			}
			return frames
		})},
		{"21", "frames to all are lost", changed(func(frames []mesh.Frame) []mesh.Frame {
			return slices.DeleteFunc(frames, func(f mesh.Frame) bool { return f.To == mesh.All })
		})},
		{"22", "empty frames are lost", changed(func(frames []mesh.Frame) []mesh.Frame {
			return slices.DeleteFunc(frames, func(f mesh.Frame) bool { return len(f.Body) == 0 })
		})},
		{"22", "frames end at a zero byte", bodies(func(body []byte) []byte { before, _, _ := bytes.Cut(body, []byte{0}); return before })},
		{"22", "frames are text", bodies(func(body []byte) []byte { return []byte(string([]rune(string(body)))) })},
		{"22", "receivers share a slice", sharedSlices()},
		{"22", "frames are kept after Push", push(func(_ context.Context, inner mesh.Channels, frames []mesh.Frame) error {
			kept := slices.Clone(frames)
			time.AfterFunc(time.Millisecond, func() { _ = inner.Push(context.Background(), kept...) })
			return mesh.CheckFrames(frames, 1<<20)
		})},
		{"23", "what is too large is left out", changed(func(frames []mesh.Frame) []mesh.Frame {
			return slices.DeleteFunc(frames, func(f mesh.Frame) bool { return len(f.Body) > 1<<20 })
		})},
		{"23", "what comes before is carried", push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
			for _, f := range frames {
				if err := inner.Push(ctx, f); err != nil {
					return err
				}
			}
			return nil
		})},
		{"23", "the error has no name", push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
			if err := inner.Push(ctx, frames...); err != nil {
				return errors.New("no")
			}
			return nil
		})},
		{"24", "a Push is carried backwards", changed(func(frames []mesh.Frame) []mesh.Frame { slices.Reverse(frames); return frames })},
		{"24", "frames are joined", changed(func(frames []mesh.Frame) []mesh.Frame {
			if len(frames) > 2 && frames[0].To == frames[len(frames)-1].To {
				frames[0].Body = append(slices.Clone(frames[0].Body), frames[len(frames)-1].Body...)
				frames = frames[:len(frames)-1]
			}
			return frames
		})},
		{"24", "one in thousand is lost", thousandth(0)},
		{"24", "one in thousand is repeated", thousandth(2)},
		{"25", "Pushes at the same time are lost", oneAtATime()},
		{"25", "Pushes are carried when there is time", push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
			for i, f := range frames {
				f.Body = bytes.Clone(f.Body)
				time.AfterFunc(time.Duration(len(frames)-i)*time.Millisecond, func() { _ = inner.Push(context.Background(), f) })
			}
			return nil
		})},
		{"26", "what does not fit is lost", func(c *Cluster, _ *mesh.Memory) {
			*c, _ = plain(&mesh.MemoryOptions{MaxInbox: 1 << 20})
			c.receive(deafToInterruptions)
		}},
		{"26", "pushers wait for readers", waitForReaders},
		{"27", "namespaces that begin alike are one", func(c *Cluster, s *mesh.Memory) {
			c.Mesh = func(namespace, _ string) mesh.Mesh { return s.Mesh(namespace[:min(14, len(namespace))]) }
		}},
		{"27", "frames cross namespaces", func(c *Cluster, s *mesh.Memory) {
			c.wrap(func(m mesh.Mesh, namespace, _ string) mesh.Mesh {
				return &otherMesh{Mesh: m, channels: s.Mesh("one").Channels()}
			})
		}},
	}
}

// lateListener listens a moment after Pull has returned.
func lateListener(c *Cluster, _ *mesh.Memory) {
	c.pull(func(ctx context.Context, inner mesh.Channels, id string) (mesh.Inbox, error) {
		var once sync.Once
		var inbox mesh.Inbox
		open := func() { once.Do(func() { inbox, _ = inner.Pull(context.Background(), id) }) }
		return &otherInbox{
			receive: func(ctx context.Context, _ mesh.Inbox) ([]byte, error) { open(); return inbox.Receive(ctx) },
			close:   func() error { open(); return inbox.Close() },
		}, nil
	})
}

// newestAlone closes the Inbox that an ID had.
func newestAlone(c *Cluster, _ *mesh.Memory) {
	had := map[string]mesh.Inbox{}
	c.pull(func(ctx context.Context, inner mesh.Channels, id string) (mesh.Inbox, error) {
		if had[id] != nil {
			_ = had[id].Close()
		}
		inbox, err := inner.Pull(ctx, id)
		had[id] = inbox
		return inbox, err
	})
}

func sharedSlices() func(*Cluster, *mesh.Memory) {
	slicesOf := map[string][]byte{}
	return func(c *Cluster, _ *mesh.Memory) {
		c.receive(func(ctx context.Context, inner mesh.Inbox) ([]byte, error) {
			body, err := inner.Receive(ctx)
			if had, ok := slicesOf[string(body)]; ok && err == nil {
				return had, nil
			}
			slicesOf[string(body)] = body
			return body, err
		})
	}
}

// thousandth carries every thousandth frame this many times.
func thousandth(times int) func(*Cluster, *mesh.Memory) {
	return func(c *Cluster, _ *mesh.Memory) {
		n := 0
		c.push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
			var out []mesh.Frame
			for _, f := range frames {
				if n++; n%1000 != 0 {
					out = append(out, f)
					continue
				}
				for range times {
					out = append(out, f)
				}
			}
			return inner.Push(ctx, out...)
		})
	}
}

func oneAtATime() func(*Cluster, *mesh.Memory) {
	var busy sync.Mutex
	return func(c *Cluster, _ *mesh.Memory) {
		c.push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
			if !busy.TryLock() {
				return nil
			}
			defer busy.Unlock()
			time.Sleep(time.Millisecond)
			return inner.Push(ctx, frames...)
		})
	}
}

// deafToInterruptions goes on as if nothing had been.
func deafToInterruptions(ctx context.Context, inner mesh.Inbox) ([]byte, error) {
	for {
		body, err := inner.Receive(ctx)
		if !errors.Is(err, mesh.ErrInterrupted) {
			return body, err
		}
	}
}

// waitForReaders lets Push wait until little is left to be read.
func waitForReaders(c *Cluster, s *mesh.Memory) {
	c.push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
		for s.Stats().Waiting > 1<<20 {
			if ctx.Err() != nil {
				return fmt.Errorf("somebody does not read: %w", ctx.Err())
			}
			time.Sleep(time.Second)
		}
		return inner.Push(ctx, frames...)
	})
}
