// Package mounttest proves that an ape handler works wherever programs mount
// one: in the standard library's mux, in chi, gin and echo, inside of common
// middleware, and behind nginx and Caddy. It holds tests only, in a module of
// its own, so that nobody who uses ape downloads the routers that they need.
//
// Run them in this directory:
//
//	go test ./...
//
// The tests of a proxy are skipped when its program is missing. With the
// environment variable CI set, or APE_REQUIRE naming it ("nginx,caddy", or
// "all"), they fail instead.
//
// The page docs/deploy.md is part of this package: its Go code must occur in
// the tests, and its nginx and Caddy configurations are what the tests run.
package mounttest
