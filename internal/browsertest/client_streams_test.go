package browsertest_test

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/goape/ape"
)

// streamSite has paths that carry streams and paths that call the page.
func streamSite(produced *atomic.Int64) func() *ape.Server {
	return func() *ape.Server {
		app := newServer(ape.Options{Rate: ape.Rate{PerSecond: -1}}, nil)
		app.Handle("count", ape.Stream(func(ctx context.Context, n int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for i := 0; n == 0 || i < n; i++ {
					if !yield(i, nil) {
						return
					}
					produced.Add(1)
				}
			}
		}))
		app.Handle("broken", ape.Stream(func(context.Context, struct{}) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				if yield(1, nil) {
					yield(0, ape.Errorf(ape.Conflict, "no more"))
				}
			}
		}))
		app.Handle("sum", ape.Collect(func(_ context.Context, items iter.Seq2[int, error]) (sum int, _ error) {
			for n, err := range items {
				if err != nil {
					return 0, err
				}
				sum += n
			}
			return sum, nil
		}))
		app.Handle("double", ape.Duplex(func(_ context.Context, items iter.Seq2[int, error]) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n, err := range items {
					if !yield(2*n, err) {
						return
					}
				}
			}
		}))
		app.Handle("ask", ape.Func(func(ctx context.Context, path string) (string, error) {
			answer, err := ape.Invoke[string](ctx, ape.From(ctx).Client(), path, "sure?")
			if err != nil {
				return "", ape.Errorf(ape.Failed, "%s", ape.CodeOf(err))
			}
			return answer, nil
		}))
		app.Handle("collect", ape.Func(func(ctx context.Context, path string) (all string, _ error) {
			for n, err := range ape.InvokeStream[int](ctx, ape.From(ctx).Client(), path, 3) {
				if err != nil {
					return "", err
				}
				all += fmt.Sprint(n, ";")
			}
			return all, nil
		}))
		return app
	}
}

// overBoth runs a test in a page that has `api`, over each transport.
func overBoth(t *testing.T, build func() *ape.Server, test func(t *testing.T, s *site, p *page)) {
	for name, options := range map[string]string{"websocket": "{}", "streaming": "{ WebSocket: null }"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, build)
			s.pages["/page"] = `<script type="module">
				import { ApeError, connect } from "/api/ape.mjs";
				Object.assign(window, { ApeError, api: connect("/api/ape", ` + options + `) });
			</script>`
			p := open(t, s.url("/page"))
			p.run(`await until(() => window.api); await api.void()`)
			test(t, s, p)
		})
	}
}

func TestStreamsFromTheServer(t *testing.T) {
	var produced atomic.Int64
	overBoth(t, streamSite(&produced), func(t *testing.T, s *site, p *page) {
		want(p, `const got = []; for await (const n of api.count(1000)) got.push(n); return got.join()`, numbers(1000))
		want(p, `const got = []; for await (const n of api.$.stream("count", 3)) got.push(n); return got.join()`, "0,1,2")
		want(p, `const got = []; try { for await (const n of api.broken()) got.push(n) } catch (error) { return got + " " + error.code }`, "1 conflict")
		want(p, `const got = []; for await (const n of api.hello("Ann")) got.push(n); return got.join()`, "Hello, Ann!")
		want(p, `return (await failure(api.count(3))).code`, "invalid")

		// A reader that does not read stops the producer, and leaving ends it.
		produced.Store(0)
		p.run(`window.slow = api.count(0)[Symbol.asyncIterator](); window.first = await slow.next()`)
		p.run(`await api.void()`)
		if n := produced.Load(); n > 200 {
			t.Errorf("%d items were produced for a reader of one", n)
		}
		p.run(`await slow.return()`)
		want(p, `return api.hello("Ann")`, "Hello, Ann!")
	})
}

func TestStreamsToTheServer(t *testing.T) {
	overBoth(t, streamSite(new(atomic.Int64)), func(t *testing.T, s *site, p *page) {
		p.run(`window.up = async function* (n) { for (let i = 0; i < n; i++) yield i }`)
		want(p, `return api.sum(up(1000))`, 499500)
		want(p, `const got = []; for await (const n of api.double(up(500))) got.push(n / 2); return got.join()`, numbers(500))
		want(p, `const error = await failure(api.sum((async function* () { yield 1; throw new Error("mine") })())); return error.code + " " + error.cause?.message`, "cancelled mine")
		want(p, `let ended = false; const items = (async function* () { try { for (;;) yield 1 } finally { ended = true } })();
			for await (const n of api.double(items)) break;
			await until(() => ended); return api.hello("Ann")`, "Hello, Ann!")
	})
}

func TestTheServerCallsThePage(t *testing.T) {
	overBoth(t, streamSite(new(atomic.Int64)), func(t *testing.T, s *site, p *page) {
		p.run(`window.off = api.$.handle("confirm", async (question, { path }) => path + ": " + question)`)
		want(p, `return api.ask("confirm")`, "confirm: sure?")
		want(p, `return (await failure(api.ask("nothing"))).message`, "not_found")
		p.run(`api.$.handle("refuse", () => { throw new ApeError({ code: "denied", message: "no" }) });
			api.$.handle("lots", async function* (n) { for (let i = 0; i < n; i++) yield i })`)
		want(p, `return (await failure(api.ask("refuse"))).message`, "denied")
		want(p, `return api.collect("lots")`, "0;1;2;")
		want(p, `off(); return (await failure(api.ask("confirm"))).message`, "not_found")
		if got, err := ape.Invoke[string](t.Context(), s.app.To(eval[string](p, `return api.$.id`)), "refuse", 1); ape.CodeOf(err) != ape.Denied {
			t.Errorf("from outside of a call: %q, %v", got, err)
		}
	})
}

func TestChannelsAsIterators(t *testing.T) {
	overBoth(t, streamSite(new(atomic.Int64)), func(t *testing.T, s *site, p *page) {
		s.app.Publish("prices/a", 0)
		p.run(`window.prices = api.$.subscribe("prices/a", { buffer: 4 }); window.first = (await prices.next()).value`)
		for i := range 20 {
			s.app.Publish("prices/a", i+1)
		}
		want(p, `await api.void(); await api.void(); const got = [first];
			for await (const n of prices) { got.push(n); if (n === 20) break }
			return got.join() + " " + prices.dropped`, "0,17,18,19,20 16")
		want(p, `try { for await (const n of api.$.subscribe("private/x")); } catch (error) { return error.code }`, "denied")
		if n := s.app.Subscribers("prices/a"); n != 0 {
			t.Errorf("%d subscribers are left", n)
		}
	})
}

// A stream, a call of the server and a call with a key outlive their connection.
func TestStreamsSurviveCuts(t *testing.T) {
	for name, options := range map[string]string{"websocket": "{}", "streaming": "{ WebSocket: null }"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, streamSite(new(atomic.Int64)))
			l := newLink(t, s.addr)
			s.pages["/page"] = `<script>Math.random = () => 0.001</script><script type="module">
				import { connect } from "/api/ape.mjs";
				window.api = connect("/api/ape", ` + options + `);
			</script>`
			p := open(t, l.url("/page"))
			p.run(`await until(() => window.api);
				api.$.handle("confirm", async (question) => { await until(() => window.sure); return question });
				await api.void();
				window.id = api.$.id; window.down = []; window.both = [];
				const up = async function* () { for (let i = 0; i < 2000; i++) yield i };
				window.work = Promise.all([
					(async () => { for await (const n of api.count(2000)) down.push(n) })(),
					(async () => { for await (const n of api.double(up())) both.push(n / 2) })(),
					api.ask("confirm"), api.add([1, 2], { key: "k1" }),
				])`)
			for range 8 {
				p.run(`const n = down.length + both.length; await until(() => down.length + both.length >= Math.min(4000, n + 200))`)
				l.cut()
			}
			want(p, `window.sure = true; return (await work).slice(2).join()`, "sure?,3")
			all := numbers(2000)
			want(p, `return down.join()`, all)
			want(p, `return both.join()`, all)
			want(p, `return api.$.id === id`, true)
		})
	}
}
