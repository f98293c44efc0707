package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/goape/ape/mesh"
	"github.com/redis/go-redis/v9"
)

// keptBuffer is up to which size the buffer of Push is used again.
const keptBuffer = 4 << 20

type channels struct{ m *Mesh }

func (c channels) Traits() mesh.Traits {
	return mesh.Traits{Namespace: c.m.namespace, MaxFrame: maxFrame, RowTTL: rowTTL}
}

func (c channels) Push(ctx context.Context, frames ...mesh.Frame) error {
	m := c.m
	if err := errors.Join(m.check(), mesh.CheckFrames(frames, maxFrame)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil || len(frames) == 0 {
		return err
	}
	// One at a time, also when the one before was given up: it may still write.
	var buffer []byte
	select {
	case buffer = <-m.pushing:
	case <-ctx.Done():
		return ctx.Err()
	}
	own, buffer := copied(frames, buffer)
	done := make(chan error, 1)
	go func() {
		err := m.push(ctx, own)
		if cap(buffer) > keptBuffer {
			buffer = nil
		}
		m.pushing <- buffer
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c channels) Pull(ctx context.Context, id string) (mesh.Inbox, error) {
	if err := errors.Join(c.m.check(), mesh.CheckID(id)); err != nil {
		return nil, err
	}
	return listen(ctx, c.m, c.m.channel(id), c.m.channel(mesh.All))
}

// copied returns the frames with bodies of our own, in the buffer: the caller's
// are his again when Push returns.
func copied(frames []mesh.Frame, buffer []byte) ([]mesh.Frame, []byte) {
	size := 0
	for _, f := range frames {
		size += len(f.Body)
	}
	buffer = slices.Grow(buffer[:0], size)
	own := make([]mesh.Frame, len(frames))
	for i, f := range frames {
		start := len(buffer)
		buffer = append(buffer, f.Body...)
		own[i] = mesh.Frame{To: f.To, Body: buffer[start:len(buffer):len(buffer)]}
	}
	return own, buffer
}

// push publishes in one round trip. The answer of Redis is the number of those
// who heard.
func (m *Mesh) push(ctx context.Context, frames []mesh.Frame) error {
	heard := make([]*redis.IntCmd, len(frames))
	if len(frames) == 1 {
		heard[0] = m.publish(ctx, m.client, frames[0])
		if err := heard[0].Err(); err != nil {
			return fmt.Errorf("mesh: redis: push: %w", err)
		}
	} else {
		p := m.client.Pipeline()
		for i, f := range frames {
			heard[i] = m.publish(ctx, p, f)
		}
		if _, err := p.Exec(ctx); err != nil {
			return fmt.Errorf("mesh: redis: push: %w", err)
		}
	}
	var unheard []string
	for i, f := range frames {
		if f.To != mesh.All && heard[i].Val() == 0 && !slices.Contains(unheard, f.To) {
			unheard = append(unheard, f.To)
		}
	}
	if unheard != nil && !m.listensElsewhere() {
		return &mesh.UnheardError{To: unheard}
	}
	return nil
}

func (m *Mesh) publish(ctx context.Context, c redis.Cmdable, f mesh.Frame) *redis.IntCmd {
	if m.cluster {
		return c.SPublish(ctx, m.channel(f.To), f.Body)
	}
	return c.Publish(ctx, m.channel(f.To), f.Body)
}

// listensElsewhere reports whether members listen at replicas: who publishes is
// not told of those.
func (m *Mesh) listensElsewhere() bool {
	c, ok := m.client.(*redis.ClusterClient)
	return ok && c.Options().ReadOnly
}
