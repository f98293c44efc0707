package mounttest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const deployPage = "../../docs/deploy.md"

// snippet returns the code block of docs/deploy.md that begins with ``` and the
// title.
func snippet(t *testing.T, title string) string {
	t.Helper()
	found := blocks(t, title)
	if len(found) != 1 {
		t.Fatalf("docs/deploy.md has %d blocks ```%s, want 1", len(found), title)
	}
	return found[0]
}

// blocks returns all code blocks of docs/deploy.md of a title.
func blocks(t *testing.T, title string) (all []string) {
	t.Helper()
	page, err := os.ReadFile(deployPage)
	if err != nil {
		t.Fatal(err)
	}
	for rest := string(page); ; {
		var found bool
		if _, rest, found = strings.Cut(rest, "\n```"+title+"\n"); !found {
			return all
		}
		var block string
		if block, rest, found = strings.Cut(rest, "\n```\n"); !found {
			t.Fatalf("docs/deploy.md: a block ```%s does not end", title)
		}
		all = append(all, block)
		rest = "\n" + rest
	}
}

// TestThePageShowsCodeOfTheTests: what docs/deploy.md shows is compiled and run
// here.
func TestThePageShowsCodeOfTheTests(t *testing.T) {
	names, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.WriteString(plain(string(text)))
	}
	shown := blocks(t, "go")
	if len(shown) < 10 {
		t.Errorf("docs/deploy.md shows %d blocks of Go, want at least 10", len(shown))
	}
	for _, block := range shown {
		if !strings.Contains(source.String(), plain(block)) {
			t.Errorf("docs/deploy.md shows code that is in no test:\n%s", block)
		}
	}
}

// plain drops indentation.
func plain(code string) string {
	lines := strings.Split(code, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}

// TestThePageNamesTheRefusals: every error with which a mounting is refused is
// found in docs/deploy.md, up to the type that it names.
func TestThePageNamesTheRefusals(t *testing.T) {
	page, err := os.ReadFile(deployPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range wrappings {
		for _, text := range []string{m.want.socket, m.want.stream} {
			text = strings.TrimPrefix(text, "501 ape: ")
			for _, own := range []string{"*mounttest_test.naiveRecorder", "mounttest_test.oldRecorder"} {
				text = strings.ReplaceAll(text, own, "*main.recorder")
			}
			if !strings.Contains(string(page), text) {
				t.Errorf("%s: docs/deploy.md lacks %q", m.name, text)
			}
		}
	}
}
