package typescript_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// missing ends a test for something that the machine lacks: as skipped, or as
// failed where it must be there.
func missing(t *testing.T, name, why string) {
	t.Helper()
	required := strings.Split(os.Getenv("APE_REQUIRE"), ",")
	if os.Getenv("CI") != "" || slices.Contains(required, "all") || slices.Contains(required, name) {
		t.Fatalf("%s is required and missing: %s", name, why)
	}
	t.Skipf("%s is missing: %s", name, why)
}

// compile runs the TypeScript compiler over a project and returns the lines of
// its errors.
func compile(t *testing.T, project string) []string {
	t.Helper()
	js, err := filepath.Abs("../../js")
	if err != nil {
		t.Fatal(err)
	}
	tsc := filepath.Join(js, "node_modules", ".bin", "tsc")
	if _, err := os.Stat(tsc); err != nil {
		missing(t, "typescript", "run npm ci in js")
	}
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, "node", err.Error())
	}
	out, err := exec.Command(tsc, "--strict", "--noEmit", "--pretty", "false", "-p", project).CombinedOutput()
	var errors []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "error TS") {
			errors = append(errors, strings.TrimSpace(line))
		}
	}
	if err != nil && errors == nil {
		t.Fatalf("tsc: %v\n%s", err, out)
	}
	return errors
}

func TestWrongUsesDoNotCompile(t *testing.T) {
	// An expected error that does not come is an error as well.
	for _, line := range compile(t, "testdata") {
		t.Error(line)
	}
}

// TestExpectedErrorsAreErrors proves that the test above can fail: without its
// directives each wrong use is an error of its own.
func TestExpectedErrorsAreErrors(t *testing.T) {
	dir := t.TempDir()
	wrong := 0
	for _, name := range []string{"check.ts", "shop.d.ts", "tsconfig.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var kept strings.Builder
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "@ts-expect-error") {
				wrong++
				continue
			}
			kept.WriteString(line)
		}
		js, err := filepath.Abs("../../js")
		if err != nil {
			t.Fatal(err)
		}
		copied := strings.ReplaceAll(kept.String(), "../../../js", filepath.ToSlash(js))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(copied), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if wrong < 30 {
		t.Fatalf("only %d wrong uses were found", wrong)
	}
	lines := map[string]bool{}
	for _, line := range compile(t, dir) {
		place, _, _ := strings.Cut(line, ",")
		lines[place] = true
	}
	if len(lines) != wrong {
		t.Errorf("%d lines have errors, want %d", len(lines), wrong)
	}
}
