// Package browsertest holds tests that drive a real browser, Debian's chromium,
// against real servers on loopback: the unmodified bundle of npm's api-ape, the
// client of this repository, and the pages of examples.
//
// It is a module of its own, so that the browser's driver never reaches the
// module graph of a program that uses ape.
//
// What a test needs and the machine lacks skips it, and fails it when CI is set
// or APE_REQUIRE names it (names with commas, or all). The names are chromium
// and npm, the latter for fetching the bundle once into the user's cache
// directory.
package browsertest
