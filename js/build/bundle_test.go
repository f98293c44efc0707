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

// sizeLimit is what a page may have to load, in bytes after gzip -9.
const sizeLimit = 9 << 10

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
	for _, name := range []string{"dist/ape.js", "dist/ape.mjs"} {
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
		if size := compressed.Len(); size > sizeLimit {
			t.Errorf("%s has %d bytes after gzip -9, the limit is %d", name, size, sizeLimit)
		} else {
			t.Logf("%s: %d bytes after gzip -9", name, size)
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
