package ape_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestReadmeQuickstart compiles the program of README.md, runs it and makes the
// calls that the page beside it makes, and answers the one that it handles.
func TestReadmeQuickstart(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, page := blocks(t, readme, "go", 2)[0], blocks(t, readme, "html", 1)[0]
	_, body, _ := strings.Cut(program, "func main() {\n")
	if lines := strings.Count(body, "\n"); lines == 0 || lines > 20 {
		t.Errorf("the program's main has %d lines, want at most 20", lines)
	}
	addr := startQuickstart(t, program, page)

	if got := fetch(t, "http://"+addr+"/"); got != page {
		t.Errorf("the page is served as %q, README.md has %q", got, page)
	}
	for _, src := range regexp.MustCompile(`src="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if fetch(t, "http://"+addr+src[1]) == "" {
			t.Errorf("%s is empty", src[1])
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	caller, other := dialQuickstart(t, ctx, addr), dialQuickstart(t, ctx, addr)
	handled := regexp.MustCompile(`api\.\$\.handle\("(\w+)"`).FindStringSubmatch(page)
	event := regexp.MustCompile(`api\.on\("(\w+)"`).FindStringSubmatch(page)
	if event == nil || handled == nil {
		t.Fatal("README.md's page listens to no event, or handles no call")
	}
	id, said := 1, ""
	for _, call := range regexp.MustCompile(`api\.(\w+)\(("[^"]*")\)`).FindAllStringSubmatch(page, -1) {
		caller.send(ctx, "c "+strconv.Itoa(id)+" "+call[1]+" "+call[2]+"\n")
		want := "r " + strconv.Itoa(id)
		answer := ""
		for answer == "" {
			line := caller.until(ctx, func(line string) bool { return strings.ContainsRune("cre", rune(line[0])) })
			if line[0] != 'c' {
				answer = line
			} else if asked := strings.Fields(line); strings.HasPrefix(asked[2], handled[1]+";") {
				caller.send(ctx, "r "+asked[1]+` "Europe/Berlin"`+"\n")
			} else {
				t.Fatalf("the server calls %q, which README.md's page does not handle", line)
			}
		}
		if !strings.HasPrefix(answer, want) {
			t.Errorf("%s is answered by %q", call[0], answer)
		}
		if call[1] == "hello" && !strings.Contains(page, "// "+strings.TrimPrefix(answer, want+" ")) {
			t.Errorf("%s is answered by %q, which the page's comment does not say", call[0], answer)
		}
		id, said = id+2, call[2]
	}
	if id < 5 {
		t.Fatal("README.md's page makes fewer than two calls")
	}
	other.until(ctx, func(line string) bool { return line == "m "+event[1]+" "+said })
	runSnippet(t, blocks(t, readme, "go", 2)[1], addr)
}

// snippetProgram makes a program of README.md's lines about the Go client.
const snippetProgram = `package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/goape/ape"
)

func run(ctx context.Context) error {
%s
	fmt.Println(hello)
	return err
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
`

// runSnippet runs the Go client of README.md against its server.
func runSnippet(t *testing.T, snippet, addr string) {
	t.Helper()
	const fixed = "127.0.0.1:8080"
	if strings.Count(snippet, fixed) != 1 {
		t.Fatalf("README.md's client does not dial %s once", fixed)
	}
	file := filepath.Join(t.TempDir(), "main.go")
	program := strings.Replace(snippetProgram, "%s", strings.Replace(snippet, fixed, addr, 1), 1)
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", file).CombinedOutput()
	if want := "Hello, Bob in " + time.Local.String() + "!\n"; err != nil || string(out) != want {
		t.Errorf("README.md's client says %q, want %q: %v", out, want, err)
	}
}

// blocks returns the texts of a page's blocks in a language, of which there are n.
func blocks(t *testing.T, page []byte, language string, n int) []string {
	t.Helper()
	found := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(page, -1)
	if len(found) != n {
		t.Fatalf("%d blocks of %s, want %d", len(found), language, n)
	}
	var texts []string
	for _, m := range found {
		texts = append(texts, string(m[1]))
	}
	return texts
}

// quickstartListen takes the place of http.ListenAndServe on a fixed port.
const quickstartListen = `package main

import (
	"fmt"
	"net"
	"net/http"
)

func listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, nil)
}
`

// startQuickstart builds and starts the program, and returns its address.
func startQuickstart(t *testing.T, program, page string) string {
	t.Helper()
	const fixed = `http.ListenAndServe("127.0.0.1:8080", nil)`
	if strings.Count(program, fixed) != 1 {
		t.Fatalf("README.md's program does not hold %s once", fixed)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go":    strings.Replace(program, fixed, "listen()", 1),
		"listen.go":  quickstartListen,
		"index.html": page,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "quickstart")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, filepath.Join(dir, "main.go"), filepath.Join(dir, "listen.go"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("README.md's program does not compile: %v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), binary)
	run.Dir, run.Stderr = dir, os.Stderr
	stdout, err := run.StdoutPipe()
	if err == nil {
		err = run.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		run.Process.Kill()
		run.Wait()
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("README.md's program tells no address: %v", err)
	}
	return strings.TrimSpace(addr)
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, res.Status, err)
	}
	return string(body)
}

// quickstartClient speaks ape.1 as a page does.
type quickstartClient struct {
	t     *testing.T
	ws    *websocket.Conn
	lines []string
}

// dialQuickstart returns a client that has been welcomed.
func dialQuickstart(t *testing.T, ctx context.Context, addr string) *quickstartClient {
	t.Helper()
	ws, _, err := websocket.Dial(ctx, "ws://"+addr+"/api/ape", &websocket.DialOptions{Subprotocols: []string{"ape.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	c := &quickstartClient{t: t, ws: ws}
	c.send(ctx, "h {}\n")
	c.until(ctx, func(line string) bool { return strings.HasPrefix(line, "w ") })
	return c
}

func (c *quickstartClient) send(ctx context.Context, text string) {
	c.t.Helper()
	if err := c.ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// until drops lines until one is as wanted.
func (c *quickstartClient) until(ctx context.Context, wanted func(line string) bool) string {
	c.t.Helper()
	for {
		for len(c.lines) > 0 {
			line := c.lines[0]
			c.lines = c.lines[1:]
			if line != "" && wanted(line) {
				return line
			}
		}
		_, text, err := c.ws.Read(ctx)
		if err != nil {
			c.t.Fatalf("the line that was waited for did not come: %v", err)
		}
		c.lines = strings.Split(string(text), "\n")
	}
}
