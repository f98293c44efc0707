package browsertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// guard is how long anything in a page may take. No test waits for it to pass.
const guard = 30 * time.Second

// browser is the one browser process of all tests, started by the first page.
var browser struct {
	once sync.Once
	ctx  context.Context
	err  error
	stop func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if browser.stop != nil {
		browser.stop()
	}
	os.Exit(code)
}

func startBrowser() {
	path, err := chromium()
	if err != nil {
		browser.err = err
		return
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // root has no other way
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true),
	)...)
	ctx, cancel := chromedp.NewContext(allocator)
	browser.ctx = ctx
	browser.stop = func() {
		cancel() // waits for the process
		stop()
	}
	browser.err = chromedp.Do(ctx, chromedp.Navigate("about:blank")) // starts it
}

func chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no chromium, chromium-browser or google-chrome in PATH")
}

// page is a tab. Its console is shown when the test fails.
type page struct {
	t   testing.TB
	ctx context.Context

	mu      sync.Mutex
	console []string
}

// needBrowser skips or fails the test without one.
func needBrowser(t testing.TB) {
	t.Helper()
	browser.once.Do(startBrowser)
	if browser.err != nil {
		missing(t, "chromium", browser.err.Error())
	}
}

// open shows a URL in a tab with cookies of its own.
func open(t testing.TB, url string) *page {
	t.Helper()
	needBrowser(t)
	return openIn(t, browser.ctx, url, chromedp.WithNewBrowserContext())
}

// tab shows a URL in another tab of the same cookies.
func (p *page) tab(url string) *page {
	p.t.Helper()
	return openIn(p.t, p.ctx, url)
}

func openIn(t testing.TB, parent context.Context, url string, opts ...chromedp.ContextOption) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, opts...)
	p := &page{t: t, ctx: ctx}
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("console of %s:\n%s", url, strings.Join(p.console, "\n"))
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	p.do(command(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: helpers}))
	p.show(url)
	return p
}

// show goes to a URL.
func (p *page) show(url string) {
	p.t.Helper()
	p.do(chromedp.Navigate(url))
}

// back returns to the page before, which must come out of the back/forward
// cache.
func (p *page) back() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, guard)
	defer cancel()
	went, err := chromedp.Run(ctx, chromedp.WaitEvent(cdppage.FrameNavigated, nil, chromedp.Evaluate[chromedp.Void]("history.back()")))
	if err != nil {
		p.t.Fatal(err)
	}
	if went.Type != cdppage.NavigationTypeBackForwardCacheRestore {
		p.t.Fatalf("the page was loaded anew (%s), not taken out of the cache", went.Type)
	}
}

// command makes an action of one of the browser's commands.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// do runs actions of the browser.
func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, guard)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		line := string(e.Type) + ":"
		for _, arg := range e.Args {
			line += " " + string(arg.Value) + arg.Description
		}
		p.console = append(p.console, line)
	case *runtime.EventExceptionThrown:
		p.console = append(p.console, "uncaught: "+(&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	}
}

// run runs the body of an async function in the page.
func (p *page) run(body string) {
	p.t.Helper()
	eval[any](p, body)
}

// eval runs the body of an async function in the page and returns what it
// returns, undefined as the zero value. An exception fails the test.
func eval[T any](p *page, body string) (v T) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, guard)
	defer cancel()
	expression := fmt.Sprintf("(async () => JSON.stringify(await (async () => {%s\n})()) ?? 'null')()", body)
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s\n%v", body, err)
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		p.t.Fatalf("%s\nreturned %s: %v", body, text, err)
	}
	return v
}

// want runs the body of an async function and compares what it returns.
func want[T comparable](p *page, body string, want T) {
	p.t.Helper()
	if got := eval[T](p, body); got != want {
		p.t.Errorf("%s\ngot  %v\nwant %v", body, got, want)
	}
}
