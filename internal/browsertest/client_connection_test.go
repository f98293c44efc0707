package browsertest_test

import (
	"fmt"
	"testing"

	"github.com/goape/ape"
)

// shortUpgrade makes the client try WebSocket again after 100 ms instead of a
// minute.
const shortUpgrade = `<script>
	const slow = setTimeout;
	window.setTimeout = (run, ms, ...rest) => slow(run, ms === 60000 ? 100 : ms, ...rest);
</script>`

const recorder = `<script>
	window.states = []; window.got = [];
	api.onConnectionChange((state, info) => states.push({ state, ...info }));
	api.on("tick", (n) => got.push(n));
</script>`

func TestCrashAndReturn(t *testing.T) {
	s := newSite(t, plain)
	s.pages["/page"] = `<script src="/api/ape.js"></script>` + recorder
	p := open(t, s.url("/page"))
	p.run(`
		window.news = [];
		api.news((value) => news.push(value));
		await api.void();
		window.id = api.$.id;
		window.open = failure(api.wait(null, { timeout: 0 }));
		await api.void()`)
	s.kill()
	want(p, `await until(() => api.$.state !== "connected"); return api.transport`, "")
	p.run(`
		window.late = api.hello("late");
		window.given = failure(api.hello("in vain", { timeout: 20 }));
		window.withdrawn = new AbortController();
		window.gone = failure(api.hello("withdrawn", { signal: withdrawn.signal }));
		withdrawn.abort()`)
	want(p, `return (await given).code + " " + (await gone).code`, "deadline cancelled")
	s.start()
	s.app.Publish("news", "after")
	want(p, `return late`, "Hello, late!")
	want(p, `return (await open).code`, "lost")
	want(p, `await until(() => news.length); return news.join()`, "after")
	want(p, `return api.$.id !== id`, true)
	want(p, `const { state, gap, lost } = states.at(-1); return [state, gap, lost].join()`, "connected,unknown,1")
}

// A server that says goodbye is returned to as soon as it is there again.
func TestShutdownAndReturn(t *testing.T) {
	s := newSite(t, func() *ape.Server { return newServer(ape.Options{DrainWindow: 1}, nil) })
	s.pages["/page"] = `<script src="/api/ape.js"></script>` + recorder
	p := open(t, s.url("/page"))
	p.run(`await api.void()`)
	if err := s.app.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.restart()
	want(p, `await until(() => states.at(-1).gap); return api.hello("again")`, "Hello, again!")
}

func TestStreamingAndBack(t *testing.T) {
	s := newSite(t, plain)
	s.noSocket.Store(true)
	s.pages["/page"] = shortUpgrade + `<script src="/api/ape.js"></script>` + recorder
	p := open(t, s.url("/page"))
	want(p, `return api.hello("Ann")`, "Hello, Ann!")
	want(p, `return api.transport`, "streaming")
	want(p, `return kind(await api.echo({ at: new Date(1), b: new Uint8Array([1]) }))`, "{at:Date(1),b:Uint8Array(1)}")
	want(p, `return kind(await api.bytes()) + await api.size(new Uint8Array(100000))`, "Uint8Array(0,1,2)100000")
	want(p, `return (await failure(api.user(9))).code`, "not_found")
	want(p, `return (await Promise.all(Array.from({ length: 200 }, (_, i) => api.add([i, 1])))).every((sum, i) => sum === i + 1)`, true)
	id := eval[string](p, `return api.$.id`)
	if got := s.app.Client(id).Transport(); got != ape.Streaming {
		t.Fatalf("the server says %q", got)
	}

	// While the client moves, the server keeps sending: nothing may be lost.
	sent := 0
	send := func(n int) {
		for range n {
			sent++
			if err := s.app.Client(id).Send("tick", sent); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(50)
	s.noSocket.Store(false)
	for eval[string](p, `return api.transport`) != "websocket" {
		send(1)
	}
	send(50)
	wantTicks(p, sent)
	want(p, `return api.$.id`, id)
	want(p, `return kind(states)`, `[{state:"connecting"},{state:"connected"}]`)
	if got := s.app.Client(id).Transport(); got != ape.WebSocket {
		t.Errorf("the server says %q", got)
	}
}

// The TCP connection is cut again and again while both ends send.
func TestCutConnections(t *testing.T) {
	for name, options := range map[string]string{"websocket": "{}", "streaming": "{ WebSocket: null }"} {
		t.Run(name, func(t *testing.T) {
			const cuts, between = 12, 50
			calls := make(chan int, cuts*between)
			s := newSite(t, func() *ape.Server {
				app := newServer(ape.Options{Rate: ape.Rate{PerSecond: -1}}, nil)
				app.Handle("count", ape.Serial(counter(calls)))
				return app
			})
			l := newLink(t, s.addr)
			// Without chance there is next to no waiting for the next connection.
			s.pages["/page"] = `<script>Math.random = () => 0.001</script><script type="module">
				import { connect } from "/api/ape.mjs";
				window.api = connect("/api/ape", ` + options + `);
			</script><script type="module">` + inside(recorder) + `</script>`
			p := open(t, l.url("/page"))
			p.run(fmt.Sprintf(`
				await until(() => window.states);
				await api.void();
				window.id = api.$.id;
				window.answers = [];
				let next = 0;
				const work = async () => {
					for (let i; (i = next++) < %d; ) answers[i] = await api.count(i, { timeout: 0 });
				};
				window.done = Promise.all(Array.from({ length: 16 }, work))`, cuts*between))
			for i := range cuts * between {
				if got := next(t, "a call", calls); got != i {
					t.Fatalf("call %d ran as number %d", got, i)
				}
				if i%between == between/2 {
					l.cut()
				}
			}
			want(p, `await done; return answers.join()`, numbers(cuts*between))
			wantTicks(p, cuts*between)
			want(p, `return api.$.id === id && states.every(({ gap }) => !gap)`, true)
			if recovered := eval[int](p, `return states.filter(({ recovered }) => recovered !== undefined).length`); recovered == 0 {
				t.Error("the session was never resumed")
			}
			if len(calls) > 0 {
				t.Errorf("%d calls ran twice", len(calls))
			}
		})
	}
}

// wantTicks checks that the page has got the events 1 to n, each once and in
// order.
func wantTicks(p *page, n int) {
	p.t.Helper()
	want(p, fmt.Sprintf(`await until(() => got.length >= %d); await api.void(); return got.every((n, i) => n === i + 1) && got.length`, n), n)
}
