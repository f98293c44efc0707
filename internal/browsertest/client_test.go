package browsertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/goape/ape"
)

const ownModule = `<script type="module">
	import api, { ApeError, connect } from "/api/ape.mjs";
	Object.assign(window, { api, ApeError, connect });
</script>`

// each runs a test with the classic script and with the module.
func each(t *testing.T, build func() *ape.Server, test func(t *testing.T, s *site, p *page)) {
	for name, body := range map[string]string{"script": `<script src="/api/ape.js"></script>`, "module": ownModule} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, build)
			s.pages["/page"] = body
			p := open(t, s.url("/page"))
			p.run(`await until(() => window.api)`)
			test(t, s, p)
		})
	}
}

func TestCalls(t *testing.T) {
	each(t, plain, func(t *testing.T, s *site, p *page) {
		want(p, `return api.hello("Ann")`, "Hello, Ann!")
		want(p, `return api.users.list({ limit: 3 })`, 3)
		want(p, `return api.users("/list", { limit: 4 }, { timeout: 5000 })`, 4)
		want(p, `return api.$.call("users/list", { limit: 5 })`, 5)
		want(p, `return kind(await api.void())`, "undefined")
		want(p, `return kind(await api.rich())`, richKind("Uint8Array"))
		want(p, `return kind(await api.bytes())`, "Uint8Array(0,1,2)")
		want(p, `return api.size(new Uint8Array(100000))`, 100_000)
		want(p, `return kind(await Promise.all([0, "", false, null, undefined].map((value) => api.echo(value))))`, `[0,"",false,null,undefined]`)
		want(p, `return kind(await api.echo({ at: new Date(1), in: [new Date(2), { s: new Set([1]) }], m: new Map([["a", 1]]), r: /x/g, b: new Uint8Array([1, 2]) }))`,
			`{at:Date(1),b:Uint8Array(1,2),in:[Date(2),{s:Set(1)}],m:Map(["a",1]),r:RegExp(/x/g)}`)
		want(p, `return (await Promise.all(Array.from({ length: 200 }, (_, i) => api.add([i, 1])))).every((sum, i) => sum === i + 1)`, true)
	})
}

func TestErrors(t *testing.T) {
	each(t, plain, func(t *testing.T, s *site, p *page) {
		const shown = `return [error instanceof Error, error.name, error.code, error.message, error.path, kind(error.data)].join(" | ")`
		want(p, `const error = await failure(api.user(9)); `+shown, "true | ApeError | not_found | no such user | user | {at:Date(5),id:9}")
		want(p, `const error = await failure(api.secret()); `+shown, "true | ApeError | internal | internal error | secret | undefined")
		want(p, `return (await failure(api.no.where())).code`, "not_found")
		want(p, `return (await failure(api.hello({}))).code`, "invalid")
		loop := `const loop = {}; loop.a = [loop]; `
		want(p, loop+`return kind(await api.echo(loop).then((got) => got.a[0] === got))`, "true")
		want(p, `return (await failure(api.echo(5n))).code`, "invalid")
		want(p, `return (await failure(api.echo("x".repeat(2 << 20)))).code`, "overflow")
		want(p, `return api.hello("still there")`, "Hello, still there!")
	})
	s := newSite(t, plain)
	s.pages["/page"] = ownModule
	p := open(t, s.url("/page"))
	want(p, `await until(() => window.api); return (await failure(api.user(9))) instanceof ApeError`, true)
}

// Languages and tools ask every object for these; none of them is a path.
func TestApiIsNoThenable(t *testing.T) {
	paths := make(chan string, 100)
	record := func() *ape.Server {
		return newServer(ape.Options{OnReceive: func(_ context.Context, c *ape.Call) func(any, error) {
			paths <- c.Path()
			return nil
		}}, nil)
	}
	each(t, record, func(t *testing.T, s *site, p *page) {
		want(p, `return (await api) === api && (await Promise.resolve(api.users)) !== undefined`, true)
		want(p, "return `${api} ${api.users.list}` + api", "[ape ] [ape users/list][ape ]")
		want(p, `return kind([JSON.stringify({ api }), api[Symbol.iterator], api[Symbol.asyncIterator], api.then, api.users.then])`,
			`["{}",undefined,undefined,undefined,undefined]`)
		p.run(`console.log(api); Object.prototype.toString.call(api); api == 1; await api.void()`)
		if got := next(t, "a call", paths); got != "void" || len(paths) > 0 {
			t.Errorf("the server was asked for %q and %d more, want void alone", got, len(paths))
		}
	})
}

func TestEvents(t *testing.T) {
	each(t, plain, func(t *testing.T, s *site, p *page) {
		p.run(`
			window.got = []; window.all = [];
			window.off = api.on("news/today", (data) => got.push(kind(data)));
			api.on(({ type, data }) => all.push(type + kind(data)));
			await api.void()`)
		c := s.app.Client(eval[string](p, `return api.$.id`))
		if c == nil {
			t.Fatal("the page's id is not a client of the server")
		}
		for _, data := range []any{time.UnixMilli(3), []byte{1}, nil, "x y; 100%"} {
			if err := c.Send("news/today", data); err != nil {
				t.Fatal(err)
			}
		}
		want(p, `await until(() => got.length === 4); return got.join()`, `Date(3),Uint8Array(1),null,"x y; 100%"`)
		p.run(`off(); api.$.send("raise", { n: 1 }); await until(() => all.includes("raised{n:1}"))`)
		if err := s.app.Broadcast("news/today", 1); err != nil {
			t.Fatal(err)
		}
		want(p, `await until(() => all.length === 6); return got.length`, 4)
	})
}

func TestChannels(t *testing.T) {
	each(t, plain, func(t *testing.T, s *site, p *page) {
		s.app.Publish("news/sport", time.UnixMilli(1))
		want(p, `
			window.got = [];
			window.off = api.news.sport((value) => got.push(kind(value)));
			await off.ready;
			await until(() => got.length);
			api.news.sport((value) => got.push("second " + kind(value)));
			await until(() => got.length === 2);
			return got.join()`, "Date(1),second Date(1)")
		for _, value := range []any{0, "", false, nil} {
			s.app.Publish("/news/sport", value)
		}
		want(p, `await until(() => got.length === 10); return got.slice(2).join()`,
			`0,second 0,"",second "",false,second false,null,second null`)
		p.run(`off(); off()`)
		s.app.Publish("news/sport", "last")
		want(p, `await until(() => got.length === 11); return got.at(-1)`, `second "last"`)
		want(p, `return failure(api.private.plans(() => {}).ready).then(({ code, path }) => code + " " + path)`, "denied private/plans")
	})
}

func TestStatesAndTransport(t *testing.T) {
	s := newSite(t, plain)
	s.pages["/page"] = `<script src="/api/ape.js"></script><script>
		window.states = [];
		api.onConnectionChange((state, info) => states.push(state + kind(info)));
		window.early = [api.transport, api.$.state, api.$.id];
		window.buffered = [api.hello("early"), api.add([1, 2])];
	</script>`
	p := open(t, s.url("/page"))
	want(p, `return kind(await Promise.all(buffered))`, `["Hello, early!",3]`)
	want(p, `return kind(early)`, `[null,"connecting",""]`)
	want(p, `return states.join()`, "connecting{},connected{}")
	want(p, `return api.transport + api.$.transport + api.$.state`, "websocketwebsocketconnected")
	want(p, `return api.$.id === await api.who()`, true)
	want(p, `api.$.close(); return states.slice(2).join(" ")`, `closing{code:"closed",final:true} disconnected{code:"closed",final:true}`)
	want(p, `return (await failure(api.void())).code`, "closed")
	want(p, `api.$.connect(); return api.hello("again")`, "Hello, again!")
	if got := s.upgrades.Load(); got != 2 {
		t.Errorf("%d WebSockets were opened, want one for each connect", got)
	}
}

// Nothing but await looks at these promises, and still they end.
func TestTimeoutAndCancel(t *testing.T) {
	cancelled := make(chan error, 2)
	s := newSite(t, func() *ape.Server { return newServer(ape.Options{}, cancelled) })
	p := open(t, s.url("/own"))
	want(p, `try { await api.wait(null, { timeout: 50 }) } catch (error) { return error.code }`, "deadline")
	if err := next(t, "the end of the call", cancelled); err == nil {
		t.Error("the controller was not told of the deadline")
	}
	want(p, `
		const abort = new AbortController();
		const call = api.wait(null, { signal: abort.signal, timeout: 0 });
		await api.void();
		abort.abort("enough");
		try { await call } catch (error) { return error.code + error.cause }`, "cancelledenough")
	if err := next(t, "the end of the call", cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("the controller's context ended with %v", err)
	}
	want(p, `return api.hello("fine")`, "Hello, fine!")
}

func TestTwoTabsAndReload(t *testing.T) {
	ended := make(chan string, 10)
	s := newSite(t, func() *ape.Server {
		return newServer(ape.Options{OnDisconnect: func(c *ape.Client, why error) {
			var e *ape.CloseError
			errors.As(why, &e)
			ended <- fmt.Sprint(c.ID(), " ", e.Code)
		}}, nil)
	})
	one := open(t, s.url("/own"))
	two := one.tab(s.url("/own"))
	for _, p := range []*page{one, two} {
		p.run(`window.got = []; api.on("text", (text) => got.push(text)); await api.void()`)
	}
	one.run(`await api.others("from one")`)
	want(two, `await until(() => got.length); return got.join()`, "from one")
	want(one, `await api.void(); return got.length`, 0)

	before := eval[string](one, `return api.$.id`)
	one.show(s.url("/own"))
	after := eval[string](one, `await api.void(); return api.$.id`)
	if before == after {
		t.Error("a reload took the session along")
	}
	if got := next(t, "the end of a session", ended); got != before+" bye" && got != before+" ended" {
		t.Errorf("a session ended as %q, want that of the page before the reload, by its bye", got)
	}
	want(two, `return api.hello("two")`, "Hello, two!")
	if got := s.app.Online(); got != 2 {
		t.Errorf("%d clients are online, want 2", got)
	}
}

// A page in the back/forward cache keeps its session, and hears what it missed
// when the visitor comes back.
func TestBackForwardCache(t *testing.T) {
	s := newSite(t, plain)
	s.pages["/page"] = `<script src="/api/ape.js"></script>` + recorder
	p := open(t, s.url("/page"))
	id := eval[string](p, `await api.void(); return api.$.id`)
	p.show(s.url("/blank"))
	if err := s.app.Client(id).Send("tick", 1); err != nil {
		t.Fatal(err)
	}
	p.back()
	wantTicks(p, 1)
	want(p, `return api.$.id`, id)
	want(p, `return states.at(-1).recovered`, 1)
}
