package browsertest_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/goape/ape"
)

// newStockSite serves pages with api-ape's own bundle.
func newStockSite(t *testing.T, build func() *ape.Server) *site {
	t.Helper()
	bundle := stockBundle(t)
	s := newSite(t, build)
	s.files["/stock.js"] = bundle
	s.pages["/stock"] = stockScript
	return s
}

const stockScript = `<script src="/stock.js"></script>`

// stockConnected waits for the socket that the bundle opens by itself. A call
// that is made before opens a second one, and every socket hears of channels.
const stockConnected = `await until(() => api.transport === "websocket");`

func TestStockCalls(t *testing.T) {
	s := newStockSite(t, plain)
	p := open(t, s.url("/stock"))
	want(p, `return settle(api.hello("Ann"))`, "Hello, Ann!")
	want(p, `return settle(api.users.list({ limit: 3 }))`, 3)
	want(p, `return settle(api.users("/list", { limit: 4 }))`, 4)
	want(p, `return kind(await settle(api.void()))`, "undefined")
	want(p, `return kind(await Promise.all([0, "", false, null].map((value) => settle(api.echo(value)))))`, `[0,"",false,null]`)
	want(p, `return settle(api.hello("é🦍\u2028\u0000"))`, "Hello, é🦍\u2028\x00!")
}

func TestStockErrors(t *testing.T) {
	s := newStockSite(t, plain)
	p := open(t, s.url("/stock"))
	want(p, `return failure(api.user(9))`, "no such user")
	want(p, `return failure(api.secret())`, "internal error")
	want(p, `return String(await failure(api.nowhere())).includes("nowhere")`, true)
	want(p, `return String(await failure(api.hello({}))).length > 0`, true)
	want(p, `return settle(api.hello("still there"))`, "Hello, still there!")
}

func TestStockTypes(t *testing.T) {
	s := newStockSite(t, plain)
	p := open(t, s.url("/stock"))
	want(p, `return kind(await settle(api.rich()))`, richKind("ArrayBuffer"))
	want(p, `return kind(await settle(api.bytes()))`, "ArrayBuffer(0,1,2)")
	p.run(`window.got = []; api.types((value) => got.push(kind(value))); await settle(api.void())`)
	if err := s.app.Publish("types", newRich()); err != nil {
		t.Fatal(err)
	}
	want(p, `await until(() => got.length); return got[0]`, richKind("ArrayBuffer"))
}

func TestStockParallelCalls(t *testing.T) {
	s := newStockSite(t, plain)
	p := open(t, s.url("/stock"))
	p.run(`await settle(api.void())`)
	want(p, `
		const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => settle(api.add([i, 1000]))));
		return answers.every((answer, i) => answer === i + 1000)`, true)
}

// The bundle opens a socket for each call that is made before the first one is
// open. None of them may be lost, nor closed under the page.
func TestStockEarlyCalls(t *testing.T) {
	s := newStockSite(t, plain)
	s.pages["/early"] = stockScript + `<script>window.answers = [1, 2, 3, 4, 5].map((i) => settle(api.add([i, 10])))</script>`
	p := open(t, s.url("/early"))
	want(p, `return kind(await Promise.all(answers))`, "[11,12,13,14,15]")
	want(p, `return settle(api.hello("after"))`, "Hello, after!")
}

func TestStockChannels(t *testing.T) {
	s := newStockSite(t, plain)
	p := open(t, s.url("/stock"))
	p.run(stockConnected)
	for i, value := range []any{map[string]any{"a": []int{1}}, 0, "", false, nil} {
		if err := s.app.Publish(fmt.Sprint("last", i), value); err != nil {
			t.Fatal(err)
		}
	}
	want(p, `
		const last = (channel) => new Promise((resolve) => api[channel](resolve));
		return kind(await Promise.all(["last0", "last1", "last2", "last3", "last4"].map(last)))`, `[{a:[1]},0,"",false,null]`)
	p.run(`
		window.got = [];
		window.off = api.news((value) => got.push(value));
		await settle(api.publish({ channel: "news", value: 1 }));
		await settle(api.publish({ channel: "/news", value: 2 }));
		await until(() => got.length === 2);
		off();
		await settle(api.publish({ channel: "news", value: 3 }));
		await settle(api.void())`)
	want(p, `return kind(got)`, "[1,2]")
}

func TestStockTalk(t *testing.T) {
	s := newStockSite(t, plain)
	ann, bob := open(t, s.url("/stock")), open(t, s.url("/stock"))
	for _, p := range []*page{ann, bob} {
		p.run(stockConnected + `window.got = []; api.talk((text) => got.push(text)); await settle(api.void())`)
	}
	ann.run(`await settle(api.publish({ channel: "talk", value: "hi Bob" }))`)
	bob.run(`await until(() => got.includes("hi Bob")); await settle(api.publish({ channel: "talk", value: "hi Ann" }))`)
	for _, p := range []*page{ann, bob} {
		want(p, `await until(() => got.length === 2); return got.join()`, "hi Bob,hi Ann")
	}
}

// The bundle asks the server again 500 ms after its socket has closed.
func TestStockReturnsAfterACrash(t *testing.T) {
	s := newStockSite(t, plain)
	p := open(t, s.url("/stock"))
	p.run(stockConnected + `window.got = []; api.news((value) => got.push(value)); await settle(api.void())`)
	s.restart()
	if err := s.app.Publish("news", "after"); err != nil {
		t.Fatal(err)
	}
	want(p, `await until(() => got.length); return kind(got)`, `["after"]`)
	want(p, `return settle(api.hello("again"))`, "Hello, again!")
}

// A page of another port has the visitor's cookies, and a browser lets it open
// WebSockets and post text without asking.
func TestForeignPageIsRefused(t *testing.T) {
	var calls atomic.Int64
	refused := make(chan error, 10)
	s := newSite(t, func() *ape.Server {
		return newServer(ape.Options{
			OnReceive: func(context.Context, *ape.Call) func(any, error) { calls.Add(1); return nil },
			OnError:   func(_ *ape.Client, err error) { refused <- err },
		}, nil)
	})
	evil := newSite(t, plain)
	p := open(t, s.url("/own"))
	p.run(`await api.void()`)
	own := calls.Load()
	p.show(evil.url("/blank"))
	for _, protocol := range []string{"[]", `["ape.1"]`} {
		want(p, fmt.Sprintf(`
			const socket = new WebSocket("ws://%s/api/ape", %s);
			return new Promise((resolve) => {
				socket.onopen = () => resolve("open");
				socket.onclose = ({ code }) => resolve(String(code));
			})`, s.addr, protocol), "1006")
	}
	p.run(fmt.Sprintf(`await fetch("http://%s/api/ape/poll", {
		method: "POST", mode: "no-cors", credentials: "include", body: '{"type":"/void"}',
	})`, s.addr))
	for range 3 {
		if err := next(t, "a refusal", refused); !strings.Contains(err.Error(), "TrustedOrigins") {
			t.Error(err)
		}
	}
	if got := calls.Load(); got != own {
		t.Errorf("the foreign page has made %d calls", got-own)
	}
}
