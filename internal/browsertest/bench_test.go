package browsertest_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/goape/ape"
)

// The page's side of calls and streams, in Chromium: each op is one call, or one
// item. Browser and server share the machine.
func BenchmarkPage(b *testing.B) {
	var produced atomic.Int64
	s := newSite(b, streamSite(&produced))
	s.pages["/page"] = ownModule
	p := open(b, s.url("/page"))
	p.run(`await until(() => window.api); await api.void();
		api.$.handle("confirm", (question) => question);
		window.up = async function* (n) { for (let i = 0; i < n; i++) yield i };
		window.calls = (n, wide) => {
			let next = 0;
			return Promise.all(Array.from({ length: wide }, async () => { while (next++ < n) await api.add([1, 2]) }));
		}`)
	for name, script := range map[string]string{
		"calls x1":     `await calls(%d, 1)`,
		"calls x16":    `await calls(%d, 16)`,
		"items down":   `const n = %d; let got = 0; for await (const i of api.count(n)) got++; if (got !== n) throw new Error(got)`,
		"items up":     `await api.sum(up(%d))`,
		"items double": `let n = 0; for await (const i of api.double(up(%d))) n++`,
	} {
		b.Run(name, func(b *testing.B) {
			p.run(fmt.Sprintf(script, b.N))
		})
	}
	b.Run("server calls page", func(b *testing.B) {
		page := s.app.To(eval[string](p, `return api.$.id`))
		b.ResetTimer()
		for range b.N {
			if _, err := ape.Invoke[string](b.Context(), page, "confirm", "?"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
