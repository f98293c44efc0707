package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What a page has to load, and what it may load besides, in bytes after gzip -9.
const (
	sizeLimit     = 9 << 10
	moreSizeLimit = 4 << 10
)

func TestGeneratedFilesAreWhatTheSourceMakes(t *testing.T) {
	for name, want := range built(t) {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Errorf("%v; run go generate ./js", err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("js/%s is not what js/src makes; run go generate ./js", name)
		}
	}
}

func TestClientStaysSmall(t *testing.T) {
	files := built(t)
	limits := map[string]int{"dist/ape.js": sizeLimit, "dist/ape.mjs": sizeLimit, "dist/" + moreFile: moreSizeLimit}
	for name, limit := range limits {
		var compressed bytes.Buffer
		z, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(files[name]); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if size := compressed.Len(); size > limit {
			t.Errorf("%s has %d bytes after gzip -9, the limit is %d", name, size, limit)
		} else {
			t.Logf("%s: %d bytes after gzip -9", name, size)
		}
	}
}

// What is loaded later knows by the stamp that it fits, and has the same short
// names as the others.
func TestPartsFitTogether(t *testing.T) {
	files := built(t)
	stamp := regexp.MustCompile(`\{"?(\w{8})"?:\{(\w+):\w+,(\w+):\w+,(\w+):\w+\}\}`).FindSubmatch(files["dist/"+moreFile])
	if stamp == nil {
		t.Fatalf("%s has no parts under a stamp", moreFile)
	}
	for _, name := range []string{"dist/ape.js", "dist/ape.mjs", "dist/ape.cjs"} {
		for _, want := range [...]string{`parts`, `"./` + moreFile + `"`, string(stamp[1]), `{` + string(stamp[2]) + `:`, `{` + string(stamp[3]) + `:`, `{` + string(stamp[4]) + `:`} {
			if !bytes.Contains(files[name], []byte(want)) {
				t.Errorf("%s does not contain %s, which %s has", name, want, moreFile)
			}
		}
	}
}

// A name that is shortened must be nobody else's: neither the package's users
// nor the wire may see it.
func TestShortenedNamesAreInternal(t *testing.T) {
	types, err := os.ReadFile("../src/ape.d.ts")
	if err != nil {
		t.Fatal(err)
	}
	comments := regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	public := comments.ReplaceAll(types, nil)
	source := sourceText(t)
	for _, name := range internalNames {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(source) {
			t.Errorf("%s is in internalNames, but not in the source", name)
		}
		if regexp.MustCompile(`\b` + name + `\b`).Match(public) {
			t.Errorf("%s is public in ape.d.ts, and must not be in internalNames", name)
		}
	}
}

func sourceText(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob("../src/*.ts")
	if err != nil || len(names) == 0 {
		t.Fatal("no source: ", err)
	}
	var all strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

func built(t *testing.T) map[string][]byte {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	files, err := bundle(root)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
