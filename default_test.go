package ape_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/goape/ape"
)

type greeter struct{}

func (greeter) Hello(_ context.Context, name string) (string, error) { return "hello " + name, nil }

// The package-level funcs are those of one server. It belongs to the process, so
// the test has one of its own each time.
func TestDefaultServer(t *testing.T) {
	const inside = "APE_TEST_DEFAULT"
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDefaultServer$")
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	entered := 0
	ape.Use(func(next ape.Controller) ape.Controller {
		return ape.ControllerFunc(func(ctx context.Context, c *ape.Call) (any, error) {
			entered++
			return next.Serve(ctx, c)
		})
	})
	ape.Handle("who", ape.Get(func(ctx context.Context) (string, error) {
		if ape.From(ctx).Server() != ape.Default() {
			t.Error("the call runs on another server than Default")
		}
		return ape.From(ctx).Client().ID(), nil
	}))
	ape.Register("greet", greeter{})
	srv := httptest.NewServer(http.HandlerFunc(ape.ServeHTTP))
	defer srv.Close()
	defer stop(t, ape.Default())

	req, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/api/ape/poll", nil)
	req.Header.Set("Cookie", "apeClientId="+strings.Repeat("A", 26))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return text
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
	if got := next(); !strings.Contains(got, "__connected__") {
		t.Fatalf("got %s first", got)
	}
	var id string
	for c := range ape.Clients() {
		id = c.ID()
	}
	call := func(text string) string {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/api/ape/poll", strings.NewReader(text))
		req.Header.Set("Cookie", "apeClientId="+strings.Repeat("A", 26))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	for _, step := range []struct{ send, want string }{
		{`{"type":"/who"}`, `"data":"` + id + `"`},
		{`{"type":"/greet/hello","data":"ann"}`, `"data":"hello ann"`},
		{`{"subscribe":"/news"}`, `"data":null`},
	} {
		if got := call(step.send); !strings.Contains(got, step.want) {
			t.Errorf("%s: got %s, want %s", step.send, got, step.want)
		}
	}
	if entered != 2 || ape.Online() != 1 || ape.ServerID() != ape.Default().ServerID() {
		t.Errorf("middleware ran %d times, %d online, server %s", entered, ape.Online(), ape.ServerID())
	}
	for _, push := range []struct {
		name string
		err  error
		want string
	}{
		{"Broadcast", ape.Broadcast("all", 1), `"type":"all"`},
		{"Publish", ape.Publish("news", 2), `"type":"/news"`},
		{"SendTo", ape.SendTo(t.Context(), id, "you", 3), `"type":"you"`},
	} {
		if got := next(); push.err != nil || !strings.Contains(got, push.want) {
			t.Errorf("%s: got %s, %v", push.name, got, push.err)
		}
	}
}
