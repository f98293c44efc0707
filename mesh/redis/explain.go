package redis

import (
	"context"
	"errors"
	"net"
	"strings"
)

// causes are what answers of Redis mean for a mesh, by what they contain.
var causes = []struct{ has, why string }{
	{"NOPERM", "the ACL user may not do that: allow it ~%s:* &%[1]s:* and the commands that the documentation of mesh/redis lists"},
	{"NOAUTH", "Redis wants a password: give the client one"},
	{"unauthenticated", "Redis wants a password: give the client one"},
	{"WRONGPASS", "Redis does not accept the client's user and password"},
	{"READONLY", "the client is connected to a replica: connect it to the primary"},
	{"MOVED", "the server belongs to a Redis Cluster: use a *redis.ClusterClient"},
	{"CROSSSLOT", "the server belongs to a Redis Cluster: use a *redis.ClusterClient"},
	{"CLUSTERDOWN", "the Redis Cluster is not complete: see CLUSTER INFO"},
	{"cluster support disabled", "the server is no Redis Cluster: use a *redis.Client"},
	{"OOM", "Redis has reached its maxmemory: give it more, or let it evict other keys"},
	{"unknown command", "the server lacks a command that a mesh needs: use Redis 7.0 or newer, and no proxy in between"},
	{"MISCONF", "Redis does not write because it cannot save to disk: see its log"},
	{"LOADING", "Redis is loading its data: try again in a while"},
}

// Explain implements [mesh.Explainer].
func (m *Mesh) Explain(err error) string {
	if err == nil {
		return "what is published does not come back: let the client connect to Redis itself, not to a proxy without PUBLISH and SUBSCRIBE"
	}
	for _, c := range causes {
		if strings.Contains(err.Error(), c.has) {
			return strings.NewReplacer("%s", m.namespace, "%[1]s", m.namespace).Replace(c.why)
		}
	}
	if errors.As(err, new(net.Error)) {
		return "the client does not reach Redis: see its address, and whether TLS is needed"
	}
	return ""
}

// warn says when Redis may throw away what a mesh keeps there.
func (m *Mesh) warn(ctx context.Context) {
	info, err := within(ctx, func() (string, error) { return m.client.Info(ctx, "memory").Result() })
	if err != nil {
		return // not allowed, perhaps: then nothing is known
	}
	if policy := evicts(info); policy != "" {
		m.logger.Warn("mesh: redis: under memory pressure Redis may evict members and clients; set maxmemory-policy to noeviction", "maxmemory-policy", policy)
	}
}

// evicts returns the policy by which keys with a lifetime may be evicted, or
// nothing.
func evicts(info string) string {
	limit, policy := "0", ""
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "maxmemory":
			limit = value
		case "maxmemory_policy":
			policy = value
		}
	}
	if limit == "0" || policy == "noeviction" {
		return ""
	}
	return policy
}
