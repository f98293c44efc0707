// Package js holds the built browser client, so that a Go program serves it
// without Node and without files on disk.
//
// The TypeScript source is in src, the bundles in dist are made from it by
// go generate and are committed. The same bundles are the npm package
// @goape/ape.
package js

import _ "embed"

//go:generate go run -C build .

// A File is one file of the browser client. It is the same for the whole life
// of the process.
type File struct {
	Name        string // "ape.js"
	ContentType string // "text/javascript; charset=utf-8"
	Data        string
}

var (
	//go:embed dist/ape.js
	script string
	//go:embed dist/ape.mjs
	module string
	//go:embed dist/ape.more.mjs
	more string
	//go:embed dist/ape.d.ts
	types string
)

// Files returns what a server offers to pages: ape.js, a classic script that
// sets window.api; ape.mjs, the same as a module; ape.more.mjs, which both load
// from beside them when they need it; ape.d.ts, the types. The slice is the
// caller's own.
func Files() []File {
	return []File{
		{"ape.js", "text/javascript; charset=utf-8", script},
		{"ape.mjs", "text/javascript; charset=utf-8", module},
		{"ape.more.mjs", "text/javascript; charset=utf-8", more},
		{"ape.d.ts", "text/plain; charset=utf-8", types},
	}
}
