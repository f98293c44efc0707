package ape_test

import (
	"os/exec"
	"strings"
	"testing"
)

// allowed are the modules that everybody who imports ape gets, each with what
// it is for. A database's client belongs in a package of its own below mesh.
var allowed = map[string]string{
	"github.com/goape/ape":       "ape itself",
	"github.com/coder/websocket": "does the WebSocket handshake, reads frames and answers control frames; without dependencies",
	"golang.org/x/time":          "the token bucket behind Options.Rate and RateLimit; by the Go team, without dependencies",
	"github.com/mssola/useragent": "parses the header User-Agent for Client.Agent, which api-ape's programs use; " +
		"without dependencies",
	"github.com/rs/cors": "answers preflights of trusted origins; without dependencies",
}

func TestDependencies(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}{{end}}", ".")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	used := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		module, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		used[module] = true
		if allowed[module] == "" {
			t.Errorf("package %s of module %q got into the core, where only these belong: %v", path, module, allowed)
		}
		if strings.HasPrefix(path, "github.com/goape/ape/mesh/") && path != "github.com/goape/ape/mesh" {
			t.Errorf("the core imports the backend %s", path)
		}
	}
	for module, why := range allowed {
		if !used[module] {
			t.Errorf("%s is not used any more (%s): take it from the list and from go.mod", module, why)
		}
	}
}
