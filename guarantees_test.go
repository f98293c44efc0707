package ape_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	proofLink  = regexp.MustCompile(`\[([^\[\]]+)\]\(([^()\s]+)\)`)
	transcript = regexp.MustCompile(`^transcript (\d+)$`)
)

// TestGuaranteesAreProven fails when docs/guarantees.md names a test that does
// not exist, or promises something without naming one.
func TestGuaranteesAreProven(t *testing.T) {
	text, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, links := 0, 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		for _, link := range proofLink.FindAllStringSubmatch(line, -1) {
			if !proven(t, link[1], path.Join("docs", link[2])) {
				t.Errorf("%s does not prove %q", link[2], link[1])
			}
			links++
		}
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasSuffix(line, "| proof |") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		last := strings.TrimSpace(cells[len(cells)-1])
		if last != "not promised" && proofLink.ReplaceAllString(strings.ReplaceAll(last, " · ", ""), "") != "" {
			t.Errorf("the row %q ends in %q, want tests or \"not promised\"", strings.TrimSpace(cells[0]), last)
		}
		rows++
	}
	if rows < 50 || links < 100 {
		t.Errorf("%d rows and %d tests were found in docs/guarantees.md", rows, links)
	}
}

// proven reports whether a file holds the test: of Go, with the name of a
// subtest behind a slash, of JavaScript by its title, or a transcript.
func proven(t *testing.T, test, file string) bool {
	t.Helper()
	file, anchor, _ := strings.Cut(file, "#")
	text, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Error(err)
		return false
	}
	has := func(pattern string) bool { return regexp.MustCompile(pattern).Match(text) }
	switch number := transcript.FindStringSubmatch(test); {
	case number != nil:
		return anchor != "" && has(`(?m)^# `+number[1]+` `)
	case strings.HasSuffix(file, ".mjs"):
		return has(`(?m)^\s*test\("` + regexp.QuoteMeta(test) + `"`)
	case strings.HasSuffix(file, "_test.go"):
		name, sub, _ := strings.Cut(test, "/")
		return has(`(?m)^func `+name+`\(t \*testing\.T\)`) && (sub == "" || has(`"`+regexp.QuoteMeta(sub)+`"`))
	}
	return true // a link to another page
}
