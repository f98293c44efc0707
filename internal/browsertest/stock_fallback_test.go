package browsertest_test

import (
	"testing"
)

// The bundle sends over the fallback what was queued before it connected, and
// hears pushes there. Every 30 s it tries WebSocket again; the page's own clock
// is shortened for that.
func TestStockFallback(t *testing.T) {
	s := newStockSite(t, plain)
	s.noSocket.Store(true)
	s.pages["/fallback"] = `<script>
		const slow = setInterval;
		window.setInterval = (run, ms, ...rest) => slow(run, ms === 30000 ? 100 : ms, ...rest);
		</script>` + stockScript + `<script>
		window.got = [];
		api.types((value) => got.push(kind(value)));
		window.answers = [
			settle(api.hello("Ann")), settle(api.void()), settle(api.rich()), settle(api.echo({ when: new Date(8), list: [new Date(9)] })),
			failure(api.user(9)), failure(api.secret()),
		];
	</script>`
	p := open(t, s.url("/fallback"))
	want(p, `return kind(await Promise.all(answers.toSpliced(4)))`,
		`["Hello, Ann!",undefined,`+richKind("ArrayBuffer")+`,{list:[Date(9)],when:Date(8)}]`)
	want(p, `return (await answers[4]).message`, "no such user")
	want(p, `return (await answers[5]).message`, "internal error")
	if s.upgrades.Load() != 0 || s.posts.Load() == 0 {
		t.Fatalf("%d WebSockets, %d posts: this was not the fallback", s.upgrades.Load(), s.posts.Load())
	}
	if err := s.app.Publish("types", newRich()); err != nil {
		t.Fatal(err)
	}
	want(p, `await until(() => got.length); return got[0]`, richKind("ArrayBuffer"))

	s.noSocket.Store(false)
	want(p, stockConnected+`return settle(api.hello("socket"))`, "Hello, socket!")
	if s.upgrades.Load() == 0 {
		t.Error("the bundle has not come back to WebSocket")
	}
	if err := s.app.Publish("types", "by socket"); err != nil {
		t.Fatal(err)
	}
	p.run(`await until(() => got.includes('"by socket"'))`)
}

// Two tabs share the cookie, and with it a session of the fallback. Both must
// hear everything.
func TestStockFallbackInTwoTabs(t *testing.T) {
	s := newStockSite(t, plain)
	s.noSocket.Store(true)
	s.pages["/tab"] = stockScript + `<script>
		window.got = [];
		api.news((value) => got.push(value));
		window.ready = settle(api.void());
	</script>`
	one := open(t, s.url("/tab"))
	one.run(`await ready`)
	two := one.tab(s.url("/tab"))
	two.run(`await ready`)
	if err := s.app.Publish("news", 1); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*page{one, two} {
		p.run(`await until(() => got.includes(1))`)
	}
	two.show("about:blank")
	if err := s.app.Publish("news", 2); err != nil {
		t.Fatal(err)
	}
	want(one, `await until(() => got.includes(2)); return got.join()`, "1,2")
}
