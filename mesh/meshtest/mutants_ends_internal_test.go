package meshtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/goape/ape/mesh"
)

func endMutants() []mutant {
	return []mutant{
		{"28 connections", "a loss is not told", func(c *Cluster, _ *mesh.Memory) { c.receive(deafToInterruptions) }},
		{"28 connections", "an Inbox that was cut stays silent", silentAfterCut},
		{"28 connections", "a cut is told when the next frame has come", toldLate},
		{"28 store", "calls wait for the store", waitsForStore},
		{"28 store", "an Inbox never notices", silentAfterStop},
		{"28 store", "the store fails for good", func(c *Cluster, s *mesh.Memory) { c.Start = func() { s.Start("nobody") } }},
		{"29", "it is an error", func(c *Cluster, _ *mesh.Memory) {
			c.push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
				if err := inner.Push(ctx, frames...); err != nil {
					return errors.New("nobody listens")
				}
				return nil
			})
		}},
		{"29", "others are named", func(c *Cluster, _ *mesh.Memory) {
			c.push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
				err := inner.Push(ctx, frames...)
				if u := (*mesh.UnheardError)(nil); errors.As(err, &u) {
					u.To = append(u.To, "b")
				}
				return err
			})
		}},
		{"29", "what comes behind it is not carried", func(c *Cluster, _ *mesh.Memory) {
			c.push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
				for _, f := range frames {
					if err := inner.Push(ctx, f); err != nil {
						return err
					}
				}
				return nil
			})
		}},
		{"29", "it is heard later", keptForLater},
		{"29", "it is kept", func(c *Cluster, _ *mesh.Memory) { c.Left = func(string) []string { return []string{"t:in:nobody"} } }},
		{"30", "a cancelled Push is carried", func(c *Cluster, _ *mesh.Memory) {
			c.push(func(ctx context.Context, inner mesh.Channels, frames []mesh.Frame) error {
				return inner.Push(context.WithoutCancel(ctx), frames...)
			})
		}},
		{"30", "a Receive that ends loses a frame", losesFrames},
		{"30", "Receive waits whatever its context", func(c *Cluster, _ *mesh.Memory) {
			c.receive(func(ctx context.Context, inner mesh.Inbox) ([]byte, error) {
				longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
				defer cancel()
				return inner.Receive(longer)
			})
		}},
		{"31", "Receive goes on after Close", func(c *Cluster, _ *mesh.Memory) {
			c.receive(func(ctx context.Context, inner mesh.Inbox) ([]byte, error) {
				body, err := inner.Receive(ctx)
				if errors.Is(err, mesh.ErrClosed) {
					time.Sleep(time.Hour)
				}
				return body, err
			})
		}},
		{"31", "closing twice is an error", closesOnce},
		{"31", "Close keeps what waits", keptForLater},
		{"32", "rows stay", func(c *Cluster, _ *mesh.Memory) {
			c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
				o := &otherMesh{Mesh: m}
				o.join = func(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error) {
					key, err := m.Join(ctx, self, lease, propose)
					o.lookup = forgetful{m.Lookup()}
					return key, err
				}
				return o
			})
		}},
		{"32", "records stay", func(c *Cluster, _ *mesh.Memory) {
			c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
				return &otherMesh{Mesh: m, leave: func(context.Context) error { return nil }}
			})
		}},
		{"32", "subscriptions stay", func(c *Cluster, _ *mesh.Memory) {
			c.pull(func(ctx context.Context, inner mesh.Channels, id string) (mesh.Inbox, error) {
				inbox, err := inner.Pull(ctx, id)
				return &otherInbox{Inbox: inbox, close: func() error { return nil }}, err
			})
		}},
		{"32", "goroutines stay", func(c *Cluster, _ *mesh.Memory) {
			c.pull(func(ctx context.Context, inner mesh.Channels, id string) (mesh.Inbox, error) {
				go time.Sleep(time.Hour)
				return inner.Pull(ctx, id)
			})
		}},
		{"32", "the user's client is closed", func(c *Cluster, s *mesh.Memory) {
			c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
				return &otherMesh{Mesh: m, leave: func(ctx context.Context) error { defer s.Stop(); return m.Leave(ctx) }}
			})
		}},
	}
}

// forgetful does not remove.
type forgetful struct{ mesh.Lookup }

func (forgetful) Remove(context.Context, ...mesh.Claim) error { return nil }

func silentAfterCut(c *Cluster, _ *mesh.Memory) {
	c.receive(func(ctx context.Context, inner mesh.Inbox) ([]byte, error) {
		body, err := inner.Receive(ctx)
		if errors.Is(err, mesh.ErrInterrupted) {
			_ = inner.Close()
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if errors.Is(err, mesh.ErrClosed) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return body, err
	})
}

func silentAfterStop(c *Cluster, _ *mesh.Memory) {
	c.receive(func(ctx context.Context, inner mesh.Inbox) ([]byte, error) {
		body, err := inner.Receive(ctx)
		if err != nil && ctx.Err() == nil {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return body, err
	})
}

// toldLate swaps an interruption and the frame that follows.
func toldLate(c *Cluster, _ *mesh.Memory) {
	owed := map[mesh.Inbox]bool{}
	c.receive(func(ctx context.Context, inner mesh.Inbox) ([]byte, error) {
		if owed[inner] {
			delete(owed, inner)
			return nil, mesh.ErrInterrupted
		}
		for {
			body, err := inner.Receive(ctx)
			if !errors.Is(err, mesh.ErrInterrupted) {
				return body, err
			}
			owed[inner] = true
			if body, err := inner.Receive(ctx); err == nil {
				return body, nil
			}
		}
	})
}

// waitsForStore lets Renew wait until the store is back.
func waitsForStore(c *Cluster, _ *mesh.Memory) {
	c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
		return &otherMesh{Mesh: m, renew: func(ctx context.Context) error {
			err := m.Renew(ctx)
			for n := 0; err != nil && n < 100; n++ {
				time.Sleep(time.Second)
				err = m.Renew(context.WithoutCancel(ctx))
			}
			return err
		}}
	})
}

// keptForLater brings what was pushed to nobody to who pulls next.
func keptForLater(c *Cluster, _ *mesh.Memory) {
	var mu sync.Mutex
	kept := map[string][][]byte{}
	c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
		inner := m.Channels()
		o := &otherChannels{Channels: inner}
		o.push = func(ctx context.Context, _ mesh.Channels, frames []mesh.Frame) error {
			err := inner.Push(ctx, frames...)
			mu.Lock()
			defer mu.Unlock()
			if u := (*mesh.UnheardError)(nil); errors.As(err, &u) {
				for _, f := range frames {
					if slices.Contains(u.To, f.To) {
						kept[f.To] = append(kept[f.To], slices.Clone(f.Body))
					}
				}
			}
			return err
		}
		o.pull = func(ctx context.Context, _ mesh.Channels, id string) (mesh.Inbox, error) {
			inbox, err := inner.Pull(ctx, id)
			return &otherInbox{Inbox: inbox, receive: func(ctx context.Context, inner mesh.Inbox) ([]byte, error) {
				mu.Lock()
				if waits := kept[id]; len(waits) > 0 {
					defer mu.Unlock()
					kept[id] = waits[1:]
					return waits[0], nil
				}
				mu.Unlock()
				return inner.Receive(ctx)
			}}, err
		}
		return &otherMesh{Mesh: m, channels: o}
	})
}

// losesFrames drops what comes while a context ends.
func losesFrames(c *Cluster, _ *mesh.Memory) {
	ended := map[mesh.Inbox]bool{}
	c.receive(func(ctx context.Context, inner mesh.Inbox) ([]byte, error) {
		body, err := inner.Receive(ctx)
		if err == nil && ended[inner] {
			ended[inner] = false
			return inner.Receive(ctx)
		}
		ended[inner] = err != nil
		return body, err
	})
}

func closesOnce(c *Cluster, _ *mesh.Memory) {
	c.pull(func(ctx context.Context, inner mesh.Channels, id string) (mesh.Inbox, error) {
		inbox, err := inner.Pull(ctx, id)
		closed := false
		return &otherInbox{Inbox: inbox, close: func() error {
			if closed {
				return mesh.ErrClosed
			}
			closed = true
			return inbox.Close()
		}}, err
	})
}
