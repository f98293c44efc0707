// Package hostile holds tests only: what a hostile network, or a hostile peer,
// may do to an ape server. The peers here write their own bytes, so that they
// can say what no client library would; they read strictly, so that whatever
// the server says is checked as well.
//
// Every test has a bystander: an honest client that calls, and hears a channel,
// before, during and after the abuse. A test fails when the bystander waits in
// vain, when anything panics, recovered or not, when the server's goroutines do
// not end, and when the abuser gets another answer or close code than
// docs/protocol.md promises. Most tests run in a bubble of testing/synctest,
// where minutes pass at once and a goroutine that is left over is noticed;
// those about TCP resets use the loopback interface. A test that rolls dice
// prints its seed when it fails.
//
// FuzzConnection sends arbitrary bytes behind a valid upgrade:
//
//	go test ./internal/hostile -run '^$' -fuzz FuzzConnection -fuzztime 10s
package hostile
