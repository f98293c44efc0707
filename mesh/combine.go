package mesh

import (
	"context"
	"fmt"
	"time"
)

// Combine returns a Mesh that keeps records and rows in one store and carries
// frames by another, for carriers that keep nothing. Both must have the same
// namespace; Join and Pull return an error if they do not.
func Combine(rows Mesh, carrier Channels) Mesh {
	return &combined{Mesh: rows, carrier: carrier}
}

type combined struct {
	Mesh
	carrier Channels
}

func (c *combined) Join(ctx context.Context, self Member, lease time.Duration, propose []byte) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.Mesh.Join(ctx, self, lease, propose)
}

func (c *combined) Channels() Channels { return &combinedChannels{c.carrier, c} }

// Explain asks the carrier first: it is what a join tries first.
func (c *combined) Explain(err error) string {
	for _, part := range []any{c.carrier, c.Mesh} {
		if e, ok := part.(Explainer); ok {
			if why := e.Explain(err); why != "" {
				return why
			}
		}
	}
	return ""
}

func (c *combined) check() error {
	rows, carrier := c.Mesh.Channels().Traits().Namespace, c.carrier.Traits().Namespace
	if rows != carrier {
		return fmt.Errorf("mesh: Combine of rows in namespace %q and a carrier in namespace %q: give both the same", rows, carrier)
	}
	return nil
}

type combinedChannels struct {
	Channels
	of *combined
}

// Traits are the carrier's, but rows live as long as the rows' store keeps them.
func (c *combinedChannels) Traits() Traits {
	t := c.Channels.Traits()
	t.RowTTL = c.of.Mesh.Channels().Traits().RowTTL
	return t
}

func (c *combinedChannels) Pull(ctx context.Context, id string) (Inbox, error) {
	if err := c.of.check(); err != nil {
		return nil, err
	}
	return c.Channels.Pull(ctx, id)
}
