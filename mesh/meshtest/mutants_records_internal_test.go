package meshtest

import (
	"context"
	"strings"
	"time"

	"github.com/goape/ape/mesh"
)

type (
	joiner = func(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error)
	change = func(c *Cluster, s *mesh.Memory)
)

// over changes each Mesh.
func over(f func(m *otherMesh)) change {
	return func(c *Cluster, _ *mesh.Memory) {
		c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
			o := &otherMesh{Mesh: m}
			f(o)
			return o
		})
	}
}

func joined(f func(m mesh.Mesh) joiner) change {
	return over(func(o *otherMesh) { o.join = f(o.Mesh) })
}

func leased(f func(time.Duration) time.Duration) change {
	return joined(func(m mesh.Mesh) joiner {
		return func(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error) {
			return m.Join(ctx, self, f(lease), propose)
		}
	})
}

func keyed(f func(key, propose []byte) []byte) change {
	return joined(func(m mesh.Mesh) joiner {
		return func(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error) {
			key, err := m.Join(ctx, self, lease, propose)
			return f(key, propose), err
		}
	})
}

func shown(f func(all []mesh.Member) []mesh.Member) change {
	return over(func(o *otherMesh) {
		o.members = func(ctx context.Context) ([]mesh.Member, error) {
			all, err := o.Mesh.Members(ctx)
			return f(all), err
		}
	})
}

func renewed(f func(ctx context.Context, o *otherMesh, err error) error) change {
	return over(func(o *otherMesh) {
		o.renew = func(ctx context.Context) error { return f(ctx, o, o.Mesh.Renew(ctx)) }
	})
}

func leaseMutants() []mutant {
	return []mutant{
		{"11", "oneself is left out", over(func(o *otherMesh) {
			o.members = func(ctx context.Context) (others []mesh.Member, err error) {
				all, err := o.Mesh.Members(ctx)
				for _, m := range all {
					if m.ID != o.self.ID {
						others = append(others, m)
					}
				}
				return others, err
			}
		})},
		{"11", "who left is shown", over(func(o *otherMesh) { o.leave = func(context.Context) error { return nil } })},
		{"11", "dots in IDs are lost", shown(func(all []mesh.Member) []mesh.Member {
			for i := range all {
				all[i].ID = strings.ReplaceAll(all[i].ID, ".", "_")
			}
			return all
		})},
		{"12", "leases are too long", leased(func(d time.Duration) time.Duration { return d * 3 })},
		{"12", "leases are too short", leased(func(d time.Duration) time.Duration { return d / 2 })},
		{"12", "renewing changes nothing", over(func(o *otherMesh) { o.renew = func(context.Context) error { return nil } })},
		{"13", "renewing brings a record back", renewed(func(ctx context.Context, o *otherMesh, err error) error {
			if err != nil {
				_, err = o.Mesh.Join(ctx, o.self, lease, nil)
			}
			return err
		})},
		{"13", "a lapse is taken for another life", renewed(func(_ context.Context, _ *otherMesh, err error) error {
			if err != nil {
				err = mesh.ErrSuperseded
			}
			return err
		})},
		{"14", "another life is taken for a lapse", renewed(func(_ context.Context, _ *otherMesh, err error) error {
			if err != nil {
				err = mesh.ErrLapsed
			}
			return err
		})},
		{"14", "a later term takes the ID", joined(func(m mesh.Mesh) joiner {
			return func(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error) {
				self.Epoch = self.Life() << 16
				return m.Join(ctx, self, lease, propose)
			}
		})},
		{"14", "a record that lapsed holds others up", lapsedHolds},
		{"15", "whoever leaves removes the record", leavesAny},
		{"16", "the members' clocks count", func(c *Cluster, _ *mesh.Memory) { c.Advance = func(time.Duration) {} }},
	}
}

func recordMutants() []mutant {
	return []mutant{
		{"17", "the last key stays", keyed(func(_, propose []byte) []byte { return propose })},
		{"17", "keys end at a zero byte", keyed(func(key, _ []byte) []byte { return key[:max(0, strings.IndexByte(string(key), 0))] })},
		{"17", "an empty key is kept", joined(func(m mesh.Mesh) joiner {
			return func(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error) {
				return m.Join(ctx, self, lease, append([]byte("x"), propose...))
			}
		})},
		{"18", "epochs are doubles", shown(func(all []mesh.Member) []mesh.Member {
			for i := range all {
				all[i].Epoch = uint64(float64(all[i].Epoch))
			}
			return all
		})},
		{"18", "empty values are lost", shown(func(all []mesh.Member) []mesh.Member {
			for _, m := range all {
				delete(m.Meta, "empty")
			}
			return all
		})},
		{"18", "any ID joins", joined(func(m mesh.Mesh) joiner {
			return func(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error) {
				if mesh.CheckID(self.ID) != nil {
					return nil, nil
				}
				return m.Join(ctx, self, lease, propose)
			}
		})},
		{"18", "any namespace joins", func(c *Cluster, s *mesh.Memory) {
			c.Mesh = func(namespace, _ string) mesh.Mesh {
				if mesh.CheckNamespace(namespace) != nil {
					namespace = "other"
				}
				return s.Mesh(namespace)
			}
		}},
		{"18", "meta of any size joins", joined(func(m mesh.Mesh) joiner {
			return func(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error) {
				if len(self.Meta["big"]) > 1024 {
					self.Meta = nil
				}
				return m.Join(ctx, self, lease, propose)
			}
		})},
	}
}

// lapsedHolds refuses later terms wherever another life was.
func lapsedHolds(c *Cluster, _ *mesh.Memory) {
	last := map[string]uint64{}
	c.wrap(func(m mesh.Mesh, _, _ string) mesh.Mesh {
		o := &otherMesh{Mesh: m}
		o.join = func(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error) {
			if was := last[self.ID]; self.Term() > 0 && was != 0 && was != self.Life() {
				return nil, mesh.ErrSuperseded
			}
			last[self.ID] = self.Life()
			return m.Join(ctx, self, lease, propose)
		}
		o.leave = func(ctx context.Context) error {
			delete(last, o.self.ID)
			return m.Leave(ctx)
		}
		return o
	})
}

// leavesAny removes the record of the ID, whosever it is.
func leavesAny(c *Cluster, s *mesh.Memory) {
	c.wrap(func(m mesh.Mesh, namespace, _ string) mesh.Mesh {
		o := &otherMesh{Mesh: m}
		o.leave = func(ctx context.Context) error {
			thief := s.Mesh(namespace)
			if _, err := thief.Join(ctx, mesh.Member{ID: o.self.ID, Epoch: 1 << 16}, time.Hour, nil); err != nil {
				return err
			}
			return thief.Leave(ctx)
		}
		return o
	})
}
