// Package redis lets servers that share a Redis be one. It takes the client that
// the program has, of github.com/redis/go-redis/v9: a *redis.Client, also one for
// Sentinel, or a *redis.ClusterClient.
//
//	import _ "github.com/goape/ape/mesh/redis"
//
//	err := app.JoinVia(redis.NewClient(&redis.Options{Addr: "localhost:6379"}))
//
// New is for who wants to set Options, and gives what app.Join takes. Neither
// JoinVia nor Join exists in this version: the backend stands here ahead of its
// use.
//
// # What is in Redis
//
// With the namespace ape, all names begin with ape: (so an ACL user needs
// ~ape:* and &ape:* and the commands below).
//
//	ape:{mesh}:m:<member>   a member's record, for as long as its lease
//	ape:{mesh}:members      the members' IDs; a day
//	ape:{mesh}:key          the key that the members share; it stays
//	ape:c:<client>          where a client is; an hour, renewed by who has it
//	ape:in:<member>         a channel: frames to one member
//	ape:all                 a channel: frames to all
//
// Frames go by PUBLISH and SUBSCRIBE, in a Redis Cluster by SPUBLISH and
// SSUBSCRIBE, which need Redis 7.0; none is stored. Beside those, the commands
// are EVAL, EVALSHA, GET, MGET, SMEMBERS, INFO and PING, and in scripts SET,
// DEL, PEXPIRE, SADD, SREM and EXISTS. A Redis that evicts keys under memory
// pressure can take members and clients away; at a join that is logged as a
// warning.
//
// A member has one connection to listen, in a cluster two, and borrows others
// from the client's pool. The client is never closed.
//
// # Concurrency
//
// As package mesh says: everything may be called concurrently, but that one Push
// runs at a time, and an Inbox is read by one goroutine.
package redis
