package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// A target is one file to build.
type target struct {
	entry  string // below src
	out    string // below the js directory
	format api.Format
	minify bool
}

var targets = []target{
	{"script.ts", "dist/ape.js", api.FormatIIFE, true},
	{"module.ts", "dist/ape.mjs", api.FormatESModule, true},
	{"module.ts", "dist/ape.cjs", api.FormatCommonJS, true},
	{"internals.ts", "fake/internals.mjs", api.FormatESModule, false},
}

// bundle returns all generated files by their name below root.
func bundle(root string) (map[string][]byte, error) {
	version, err := packageVersion(root)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, t := range targets {
		data, err := build(root, version, t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.out, err)
		}
		files[t.out] = data
	}
	types, err := os.ReadFile(filepath.Join(root, "src", "ape.d.ts"))
	if err != nil {
		return nil, err
	}
	files["dist/ape.d.ts"] = types
	files["dist/ape.d.cts"] = types // the same for require: its extension says that the module is CommonJS
	return files, nil
}

func build(root, version string, t target) ([]byte, error) {
	options := api.BuildOptions{
		AbsWorkingDir:     root,
		EntryPoints:       []string{"src/" + t.entry},
		Outfile:           t.out,
		Bundle:            true,
		Format:            t.format,
		Target:            api.ES2020,
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsNone,
		MinifyWhitespace:  t.minify,
		MinifyIdentifiers: t.minify,
		MinifySyntax:      t.minify,
		Define:            map[string]string{"VERSION": version},
	}
	if t.minify {
		options.MangleProps = "^(" + strings.Join(internalNames, "|") + ")$"
		options.Banner = map[string]string{"js": "// ape " + strings.Trim(version, `"`) + ", MIT. Generated from js/src; DO NOT EDIT."}
	}
	if t.format == api.FormatCommonJS {
		options.Define["import.meta.url"] = `""` // a required module has no URL; its base is the page's own
	}
	result := api.Build(options)
	var problems []error
	for _, m := range append(result.Errors, result.Warnings...) {
		problems = append(problems, message(m))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return result.OutputFiles[0].Contents, nil
}

// packageVersion returns the version of package.json as a JavaScript literal.
func packageVersion(root string) (string, error) {
	data, err := os.ReadFile(filepath.Join(root, "package.json"))
	if err != nil {
		return "", err
	}
	var p struct{ Version string }
	if err := json.Unmarshal(data, &p); err != nil {
		return "", fmt.Errorf("package.json: %w", err)
	}
	literal, err := json.Marshal(p.Version)
	return string(literal), err
}

func message(m api.Message) error {
	if m.Location == nil {
		return errors.New(m.Text)
	}
	return fmt.Errorf("%s:%d: %s", m.Location.File, m.Location.Line, m.Text)
}
