package main

import (
	"crypto/sha256"
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
	{"script.ts", "dist/ape.js", api.FormatESModule, true}, // without imports and exports: wrapped, it is a script
	{"module.ts", "dist/ape.mjs", api.FormatESModule, true},
	{"module.ts", "dist/ape.cjs", api.FormatCommonJS, true},
	{"more.ts", "dist/" + moreFile, api.FormatESModule, true},
	{"internals.ts", "fake/internals.mjs", api.FormatESModule, false},
}

// moreFile stands beside the others, which load it when they need it.
const moreFile = "ape.more.mjs"

// bundle returns all generated files by their name below root.
func bundle(root string) (map[string][]byte, error) {
	version, err := packageVersion(root)
	if err != nil {
		return nil, err
	}
	names, err := shortNames(root)
	if err != nil {
		return nil, err
	}
	stamp, err := sourceStamp(root)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, t := range targets {
		data, err := build(root, t, names, map[string]string{"VERSION": version, "STAMP": stamp})
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

func build(root string, t target, names map[string]any, define map[string]string) ([]byte, error) {
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
		Define:            define,
		Plugins:           []api.Plugin{moreApart},
	}
	if t.minify {
		options.MangleProps = mangled
		options.MangleCache = names
		options.Banner = map[string]string{"js": "// ape " + strings.Trim(define["VERSION"], `"`) + ", MIT. Generated from js/src; DO NOT EDIT."}
	}
	if t.entry == "script.ts" {
		options.Banner["js"] += "\n\"use strict\";(()=>{"
		options.Footer = map[string]string{"js": "})();"}
	}
	if t.format == api.FormatCommonJS {
		define["import.meta.url"] = `""` // a required module has no URL; its base is the page's own
	}
	result := api.Build(options)
	if err := problems(result); err != nil {
		return nil, err
	}
	return result.OutputFiles[0].Contents, nil
}

// mangled matches the names that are shortened.
var mangled = "^(" + strings.Join(internalNames, "|") + ")$"

// shortNames says how each of them is shortened: alike in all files, since
// those that are loaded later share objects with the others.
func shortNames(root string) (map[string]any, error) {
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: root,
		EntryPoints:   []string{"src/module.ts"},
		Outdir:        "dist",
		Bundle:        true,
		Format:        api.FormatESModule,
		MinifySyntax:  true,
		MangleProps:   mangled,
		MangleCache:   map[string]any{},
	})
	return result.MangleCache, problems(result)
}

// moreApart keeps more.ts out of the file that imports it.
var moreApart = api.Plugin{Name: "more apart", Setup: func(b api.PluginBuild) {
	b.OnResolve(api.OnResolveOptions{Filter: `^\./more$`}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
		return api.OnResolveResult{Path: "./" + moreFile, External: true}, nil
	})
}}

// sourceStamp returns what tells the source from every other one, as a
// JavaScript literal.
func sourceStamp(root string) (string, error) {
	names, err := filepath.Glob(filepath.Join(root, "src", "*.ts"))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range append(names, filepath.Join(root, "build", "names.go")) {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		sum.Write(data)
	}
	return fmt.Sprintf(`"%x"`, sum.Sum(nil)[:4]), nil
}

func problems(result api.BuildResult) error {
	var all []error
	for _, m := range append(result.Errors, result.Warnings...) {
		all = append(all, message(m))
	}
	return errors.Join(all...)
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
