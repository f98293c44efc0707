package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goape/ape/mesh"
	"github.com/redis/go-redis/v9"
)

// A row is "life term gen member".
var (
	// KEYS: rows. ARGV: life, term, member, TTL, then a Gen for each row.
	addScript = redis.NewScript(`
for i, key in ipairs(KEYS) do
  local has = redis.call('GET', key)
  local gen = has and tonumber(string.match(has, '^%d+ %d+ (%d+)'))
  if not gen or gen <= tonumber(ARGV[i + 4]) then
    redis.call('SET', key, ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[i + 4] .. ' ' .. ARGV[3], 'PX', ARGV[4])
  end
end
return 0`)

	// KEYS: rows. ARGV: life, then a Gen for each row.
	removeScript = redis.NewScript(`
for i, key in ipairs(KEYS) do
  local has = redis.call('GET', key)
  if has then
    local life, gen = string.match(has, '^(%d+) %d+ (%d+)')
    if life == ARGV[1] and tonumber(gen) <= tonumber(ARGV[i + 1]) then redis.call('DEL', key) end
  end
end
return 0`)
)

type lookup struct{ m *Mesh }

func (l lookup) Add(ctx context.Context, claims ...mesh.Claim) error {
	self, _, err := l.m.me()
	if err != nil {
		return err
	}
	return l.change(ctx, "add", addScript, claims, life(self.Epoch), term(self.Epoch), self.ID, rowTTL.Milliseconds())
}

func (l lookup) Remove(ctx context.Context, claims ...mesh.Claim) error {
	self, _, err := l.m.me()
	if err != nil {
		return err
	}
	return l.change(ctx, "remove", removeScript, claims, life(self.Epoch))
}

func (l lookup) Read(ctx context.Context, clients ...string) ([]mesh.Owner, error) {
	if err := l.m.check(); err != nil {
		return nil, err
	}
	owners := make([]mesh.Owner, 0, len(clients))
	for part := range slices.Chunk(clients, rowsACall) {
		read, err := within(ctx, func() ([]mesh.Owner, error) { return l.read(ctx, part) })
		if err != nil {
			return nil, fmt.Errorf("mesh: redis: read: %w", err)
		}
		owners = append(owners, read...)
	}
	return owners, nil
}

// Sweep has no rows to remove, they expire; it forgets the IDs of the dead.
func (l lookup) Sweep(ctx context.Context) (int, error) {
	if err := l.m.check(); err != nil {
		return 0, err
	}
	_, err := within(ctx, func() (int, error) { return 0, l.m.sweepIDs(ctx) })
	if err != nil {
		return 0, fmt.Errorf("mesh: redis: sweep: %w", err)
	}
	return 0, nil
}

// change runs a script over rows: with all of them, or in a cluster once for
// each, because they are in different places.
func (l lookup) change(ctx context.Context, doing string, script *redis.Script, claims []mesh.Claim, args ...any) error {
	if err := mesh.CheckClaims(claims); err != nil {
		return err
	}
	for part := range slices.Chunk(claims, rowsACall) {
		_, err := within(ctx, func() (int, error) {
			if l.m.cluster {
				return 0, l.changeEach(ctx, script, part, args)
			}
			keys, all := make([]string, len(part)), slices.Clone(args)
			for i, c := range part {
				keys[i] = l.m.rowKey(c.Client)
				all = append(all, c.Gen)
			}
			return 0, script.Run(ctx, l.m.client, keys, all...).Err()
		})
		if err != nil {
			return fmt.Errorf("mesh: redis: %s: %w", doing, err)
		}
	}
	return nil
}

// changeEach sends the script's text: a pipeline cannot ask first who knows it.
func (l lookup) changeEach(ctx context.Context, script *redis.Script, claims []mesh.Claim, args []any) error {
	_, err := l.m.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, c := range claims {
			script.Eval(ctx, p, []string{l.m.rowKey(c.Client)}, append(slices.Clone(args), c.Gen)...)
		}
		return nil
	})
	return err
}

func (l lookup) read(ctx context.Context, clients []string) ([]mesh.Owner, error) {
	texts, err := l.texts(ctx, clients)
	if err != nil {
		return nil, err
	}
	owners := make([]mesh.Owner, len(clients))
	for i, text := range texts {
		if text == "" {
			continue
		}
		if owners[i], err = parseRow(text); err != nil {
			return nil, fmt.Errorf("the row of client %q is %.80q: %w", clients[i], text, err)
		}
	}
	return owners, nil
}

// texts returns the rows as they are, or nothing.
func (l lookup) texts(ctx context.Context, clients []string) ([]string, error) {
	texts := make([]string, len(clients))
	if l.m.cluster {
		cmds, err := l.m.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, c := range clients {
				p.Get(ctx, l.m.rowKey(c))
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
		for i, cmd := range cmds {
			text, err := cmd.(*redis.StringCmd).Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return nil, err
			}
			texts[i] = text
		}
		return texts, nil
	}
	keys := make([]string, len(clients))
	for i, c := range clients {
		keys[i] = l.m.rowKey(c)
	}
	values, err := l.m.client.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		texts[i], _ = v.(string)
	}
	return texts, nil
}

func parseRow(text string) (mesh.Owner, error) {
	parts := strings.SplitN(text, " ", 4)
	if len(parts) != 4 {
		return mesh.Owner{}, errors.New("not one of this package")
	}
	epoch, err := parseEpoch(parts[0], parts[1])
	if err != nil {
		return mesh.Owner{}, err
	}
	gen, err := strconv.ParseUint(parts[2], 10, 64)
	return mesh.Owner{ID: parts[3], Epoch: epoch, Gen: gen}, err
}
