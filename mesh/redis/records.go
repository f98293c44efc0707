package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goape/ape/mesh"
	"github.com/redis/go-redis/v9"
)

// A record is "life term meta", meta as JSON. Lua's numbers are doubles, so life
// and term stay text there.
var (
	// KEYS: record, members, key. ARGV: life, term, meta, lease, ID, proposal, TTL
	// of members. False: superseded.
	joinScript = redis.NewScript(`
local has = redis.call('GET', KEYS[1])
if has and ARGV[2] ~= '0' and string.match(has, '^%d+') ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3], 'PX', ARGV[4])
redis.call('SADD', KEYS[2], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
if ARGV[6] ~= '' then redis.call('SET', KEYS[3], ARGV[6], 'NX') end
return redis.call('GET', KEYS[3]) or ''`)

	// KEYS: record, members. ARGV: life, term, lease, ID, TTL of members.
	renewScript = redis.NewScript(`
local has = redis.call('GET', KEYS[1])
if not has then return 'lapsed' end
local life, term = string.match(has, '^(%d+) (%d+)')
if life ~= ARGV[1] then return 'superseded' end
if term ~= ARGV[2] then return 'lapsed' end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SADD', KEYS[2], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 'renewed'`)

	// KEYS: record, members. ARGV: life, term, ID.
	leaveScript = redis.NewScript(`
local has = redis.call('GET', KEYS[1])
if not has then redis.call('SREM', KEYS[2], ARGV[3]) return 0 end
local life, term = string.match(has, '^(%d+) (%d+)')
if life ~= ARGV[1] or term ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[3])
return 1`)

	// KEYS: members, then a record each. ARGV: their IDs.
	sweepScript = redis.NewScript(`
for i, id in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[i + 1]) == 0 then redis.call('SREM', KEYS[1], id) end
end
return 0`)
)

// Join implements [mesh.Mesh].
func (m *Mesh) Join(ctx context.Context, self mesh.Member, lease time.Duration, propose []byte) ([]byte, error) {
	if err := errors.Join(m.check(), mesh.CheckMember(self)); err != nil {
		return nil, err
	}
	if lease < time.Millisecond {
		return nil, fmt.Errorf("mesh: redis: a lease of %v: use 1ms or more", lease)
	}
	meta, err := json.Marshal(self.Meta)
	if err != nil {
		return nil, fmt.Errorf("mesh: redis: meta of member %s: %w", self.ID, err)
	}
	m.mu.Lock()
	m.self, m.lease, m.has = self, lease, true
	m.mu.Unlock()

	key, err := within(ctx, func() (string, error) {
		return joinScript.Run(ctx, m.client, []string{m.recordKey(self.ID), m.membersKey(), m.sharedKey()},
			life(self.Epoch), term(self.Epoch), meta, lease.Milliseconds(), self.ID, propose, idsTTL.Milliseconds()).Text()
	})
	if errors.Is(err, redis.Nil) {
		return nil, mesh.ErrSuperseded
	}
	if err != nil {
		return nil, fmt.Errorf("mesh: redis: join: %w", err)
	}
	m.warned.Do(func() { m.warn(ctx) })
	return []byte(key), nil
}

// Renew implements [mesh.Mesh].
func (m *Mesh) Renew(ctx context.Context) error {
	self, lease, err := m.me()
	if err != nil {
		return err
	}
	result, err := within(ctx, func() (string, error) {
		return renewScript.Run(ctx, m.client, []string{m.recordKey(self.ID), m.membersKey()},
			life(self.Epoch), term(self.Epoch), lease.Milliseconds(), self.ID, idsTTL.Milliseconds()).Text()
	})
	switch {
	case err != nil:
		return fmt.Errorf("mesh: redis: renew: %w", err)
	case result == "lapsed":
		return mesh.ErrLapsed
	case result == "superseded":
		return mesh.ErrSuperseded
	}
	return nil
}

// Leave implements [mesh.Mesh].
func (m *Mesh) Leave(ctx context.Context) error {
	self, _, err := m.me()
	if err != nil {
		return nil // there is no record
	}
	_, err = within(ctx, func() (int, error) {
		return leaveScript.Run(ctx, m.client, []string{m.recordKey(self.ID), m.membersKey()}, life(self.Epoch), term(self.Epoch), self.ID).Int()
	})
	if err != nil {
		return fmt.Errorf("mesh: redis: leave: %w", err)
	}
	return nil
}

// Members implements [mesh.Mesh].
func (m *Mesh) Members(ctx context.Context) ([]mesh.Member, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	all, err := within(ctx, func() ([]mesh.Member, error) { return m.members(ctx) })
	if err != nil {
		return nil, fmt.Errorf("mesh: redis: members: %w", err)
	}
	return all, nil
}

func (m *Mesh) members(ctx context.Context) ([]mesh.Member, error) {
	ids, keys, err := m.ids(ctx)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	records, err := m.client.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, err
	}
	var all []mesh.Member
	for i, r := range records {
		text, ok := r.(string)
		if !ok {
			continue // lapsed
		}
		one, err := parseRecord(ids[i], text)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// ids returns who is or was a member, and the keys of their records.
func (m *Mesh) ids(ctx context.Context) (ids, keys []string, err error) {
	ids, err = m.client.SMembers(ctx, m.membersKey()).Result()
	for _, id := range ids {
		keys = append(keys, m.recordKey(id))
	}
	return ids, keys, err
}

// sweepIDs forgets the IDs of those who crashed.
func (m *Mesh) sweepIDs(ctx context.Context) error {
	ids, keys, err := m.ids(ctx)
	if err != nil || len(ids) == 0 {
		return err
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	return sweepScript.Run(ctx, m.client, append([]string{m.membersKey()}, keys...), args...).Err()
}

func parseRecord(id, text string) (mesh.Member, error) {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return mesh.Member{}, fmt.Errorf("the record of %s is %.80q, not one of this package", id, text)
	}
	epoch, err := parseEpoch(parts[0], parts[1])
	one := mesh.Member{ID: id, Epoch: epoch}
	if err == nil {
		err = json.Unmarshal([]byte(parts[2]), &one.Meta)
	}
	if err != nil {
		return mesh.Member{}, fmt.Errorf("the record of %s is %.80q: %w", id, text, err)
	}
	return one, nil
}

func life(epoch uint64) string { return strconv.FormatUint(epoch>>16, 10) }
func term(epoch uint64) string { return strconv.FormatUint(epoch&0xffff, 10) }

func parseEpoch(life, term string) (uint64, error) {
	l, err := strconv.ParseUint(life, 10, 48)
	if err != nil {
		return 0, err
	}
	t, err := strconv.ParseUint(term, 10, 16)
	return l<<16 | t, err
}
