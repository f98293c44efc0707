// Package apetypes writes the TypeScript declarations of a server, as
// [ape.Server.WriteTypes] does, with what the text of the program adds: doc
// comments, and the constants of types that have a closed set of values.
//
// Mostly it runs by the command ape-types, which calls [Main] with a func of
// the program that makes its server:
//
//	//go:generate go run github.com/goape/ape/cmd/ape-types -o web/api.d.ts ./internal/api.New
//
// A program that needs more than a func without arguments calls Main itself,
// from a file of its own that the build leaves out:
//
//	//go:build ignore
//
//	package main
//
//	func main() {
//		apetypes.Main(func() *ape.Server { return api.New(api.Config{}) })
//	}
//
// The func registers controllers and declares events; it need not connect to
// anything, and no request is served.
//
// # What the text adds
//
// Doc comments of types, fields, and of the funcs and methods that are
// controllers become comments of the declarations.
//
// A type of the program's own modules whose constants look like a closed set
// becomes a union of them: a string type with two constants or more in its
// package, or an integer type whose constants are numbered without a gap by
// iota, and not shifted. A method Values() []T of the type takes precedence, and
// says that the set is open when it returns nothing.
//
// The text is found by the command go, so it must be the same that was built.
package apetypes
