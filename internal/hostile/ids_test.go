package hostile_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

// TestAnswersToCallsNeverMade: guessed ids, of calls that the server has not
// made, has not yet made, or had answered before, are nobody's.
func TestAnswersToCallsNeverMade(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		for i := 0; i < 200; i += 2 {
			p.lines(fmt.Sprintf("r %d 1", i), fmt.Sprintf("e %d {}", i), fmt.Sprintf("n %d 1", i), fmt.Sprintf("z %d", i),
				fmt.Sprintf("g %d 9007199254740991", i), fmt.Sprintf("x %d", i))
		}
		p.lines("r 9007199254740990 1", "e 9007199254740990 {}")
		p.lines("c 1 ask")
		p.want("c 2 confirm")
		p.lines("r 4 4", "r 2 2", "r 2 3", `e 2 {"code":"failed"}`, "n 2 1", "z 2", "g 2 1")
		p.want("r 1 2")
		p.lines("c 3 ask/count")
		p.want("c 4 count;g=8")
		p.lines("r 2 2", "n 4 1", "z 4", "n 4 2", "r 4 3", "z 4")
		p.want("r 3 1")
		if late := w.app.Stats().Late; late != 0 {
			t.Errorf("%d answers count as late", late)
		}
	})
}

// TestAnswersAheadOfTheirCalls: a client that floods the ids to come never gets
// an answer taken for a call's before the call was made.
func TestAnswersAheadOfTheirCalls(t *testing.T) {
	inside(t, setup{Options: ape.Options{Rate: ape.Rate{PerSecond: -1}}}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		over := make(chan struct{})
		go func() {
			defer close(over)
			for i := range 300 {
				var b strings.Builder
				for j := range 6 {
					id := 2 * (i + j)
					fmt.Fprintf(&b, "n %d 1\nr %d 1\ne %d {\"code\":\"failed\"}\nz %d\n", id, id, id, id)
				}
				p.send(text(fmt.Sprintf("c %d ask\nc %d ask/count\n%s", 4*i+1, 4*i+3, b.String())))
			}
		}()
		counts := map[byte]int{}
		for counts['r']+counts['e'] < 600 {
			switch l := p.line(); l[0] {
			case 'c': // answered in any case
				counts['c']++
				p.lines("r " + strings.Fields(l)[1] + " 1")
			case 'r', 'e', 'x':
				counts[l[0]]++
			default:
				t.Fatalf("got %q", l)
			}
		}
		<-over
	})
}

// TestLinesForOtherSessionsIds: ids belong to a session; whatever a client says
// of its neighbour's changes nothing there.
func TestLinesForOtherSessionsIds(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p, q := w.hello(`{"auth":"p"}`, nil), w.hello(`{"auth":"q"}`, nil)
		p.lines("c 1 count;g=1 -1", "c 3 sum;i", "c 5 ask")
		p.unordered("n 1 1", "g 3 8", "c 2 confirm")
		for _, id := range []int{1, 2, 3, 5} {
			q.lines(fmt.Sprintf("x %d", id), fmt.Sprintf("g %d 50", id), fmt.Sprintf("n %d 7", id), fmt.Sprintf("z %d", id), fmt.Sprintf("r %d 7", id), fmt.Sprintf("e %d {}", id))
		}
		q.lines("c 1 echo 1")
		q.want("r 1 1")
		if got := p.heard(); len(got) > 0 {
			t.Errorf("the neighbour hears %q", got)
		}
		p.lines("g 1 1", "n 3 5", "z 3")
		p.unordered("n 1 2", "r 3 5")
		p.lines("r 2 true", "x 1")
		p.unordered("r 5 true", `e 1 {"code":"cancelled"`)
	})
}

// TestReusedIds: an id that is open is not opened again; behind its end it is as
// good as a new one to the server, and what was said of the older call does not
// reach it.
func TestReusedIds(t *testing.T) {
	inside(t, setup{Options: ape.Options{StreamWindow: 8}}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		p.lines("c 1 count;g=1 -1")
		p.want("n 1 1")
		p.lines("c 1 sum;i", "c 1 count;g=5 5", "s 1 news", "c 2 echo 1", "c 0 echo 1")
		for range 5 {
			p.want(`e 0 {"code":"malformed"`)
		}
		p.lines("g 1 1")
		p.want("n 1 2")
		for range 300 {
			p.lines("x 1")
			p.want(`e 1 {"code":"cancelled"`)
			p.lines("c 1 sum;i")
			p.want("g 1 8")
			p.lines("n 1 1", "z 1")
			p.want("r 1 1")
			p.lines("c 1 count;g=1 -1")
			p.want("n 1 1")
		}
		// The controller of the older call still runs when its id is taken again.
		p.lines("x 1")
		p.want(`e 1 {"code":"cancelled"`)
		p.lines("c 1 wait;i", "n 1 1", "c 1 wait", "x 1")
		p.unordered(`e 1 {"code":"credit"`, `e 1 {"code":"cancelled"`)
		p.lines("c 3 echo 3")
		p.want("r 3 3")
	})
}

// TestOldHellosAndOtherPeoplesTokens: a hello that is replayed takes nothing
// away, and neither does a token without its identity, while streams run.
func TestOldHellosAndOtherPeoplesTokens(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{"auth":"ann"}`, nil)
		p.lines("c 1 count;g=2 -1", "c 3 ask")
		p.unordered("n 1 1", "n 1 2", "c 2 confirm")
		token := p.token
		old := fmt.Sprintf(`h {"auth":"ann","resume":%q,"seen":3,"try":1}`, token)
		q := w.upgrade(line1)
		q.lines(old)
		if got := q.welcome(); got.Gap != "" || *got.Got != 2 {
			t.Fatalf("the welcome is %+v", got)
		}
		p.wantClose(4100)
		for range 5 {
			r := w.upgrade(line1)
			r.lines(old)
			r.wantClose(4002)
		}
		eve := w.upgrade(line1)
		eve.lines(fmt.Sprintf(`h {"auth":"eve","resume":%q,"seen":3,"try":9}`, token))
		if got := eve.welcome(); got.Gap != "unknown" {
			t.Errorf("the welcome is %+v", got)
		}
		eve.lines("g 1 5", "x 1", "r 2 1")
		q.lines("g 1 1", "r 2 true")
		q.unordered("n 1 3", "r 3 true")
		q.lines(`q {"code":"bye"}`)
		q.wantClose(4102)
		for _, try := range []int{1, 2, 99} {
			r := w.upgrade(line1)
			r.lines(fmt.Sprintf(`h {"auth":"ann","resume":%q,"seen":3,"try":%d}`, token, try))
			if got := r.welcome(); got.Gap != "unknown" || got.Resume == token {
				t.Errorf("the welcome is %+v", got)
			}
		}
	})
}

// TestAcknowledgementsOfWhatIsToCome: they let go of nothing.
func TestAcknowledgementsOfWhatIsToCome(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		p.lines("a 9007199254740991", "a 5", "c 1 count;g=4 8", "a 100", "a 9007199254740991", "a 0")
		p.want("n 1 1", "n 1 2", "n 1 3", "n 1 4")
		p.Close()
		synctest.Wait()
		q := w.upgrade(line1)
		q.lines(fmt.Sprintf(`h {"resume":%q,"seen":0,"try":1}`, p.token))
		if got := q.welcome(); got.Gap != "" || *got.Recovered != 4 {
			t.Fatalf("the welcome is %+v", got)
		}
		q.want("n 1 1", "n 1 2", "n 1 3", "n 1 4")
		q.lines("a 4", "g 1 4")
		q.want("n 1 5", "n 1 6", "n 1 7", "n 1 8", "z 1")
		q.Close()
		synctest.Wait()
		r := w.upgrade(line1)
		r.lines(fmt.Sprintf(`h {"resume":%q,"seen":10,"try":2}`, p.token))
		if got := r.welcome(); got.Gap != "mismatch" {
			t.Errorf("the welcome is %+v", got)
		}
	})
}

// TestCreditWithoutMeasure: more than fits into a number is as good as without
// end, and for calls that take none it means nothing.
func TestCreditWithoutMeasure(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		p := w.hello(`{}`, nil)
		var many []string
		for range 2000 {
			many = append(many, "g 1 9007199254740991")
		}
		p.lines("c 1 count;g=9007199254740991 50", "c 3 sum;i", "c 5 wait")
		p.lines(many...)
		p.lines("g 3 9007199254740991", "g 5 9007199254740991", "g 1 9007199254740992", "g 1 -1", "g 1", "g 1 1 1")
		got := p.heard()
		if n := len(got); n != 52 {
			t.Errorf("%d lines came, want 50 items, their end and the credit of the other: %q", n, got[max(0, n-5):])
		}
		p.lines("z 3", "x 5")
		p.unordered("r 3 0", `e 5 {"code":"cancelled"`)
	})
}

// TestItemsWithoutMeasure: a client that sends without credit loses that call
// and nothing else, and what it has sent is not kept.
func TestItemsWithoutMeasure(t *testing.T) {
	inside(t, setup{}, func(t *testing.T, w *world) {
		before := heap()
		p := w.hello(`{}`, nil)
		p.alive(time.Hour)
		item := ` "` + strings.Repeat("x", 10_000) + `"`
		for i := range 100 {
			id := 2*i + 1
			p.lines(fmt.Sprintf("c %d ask/sum;i", id))
			for range 20 {
				p.lines(fmt.Sprintf("n %d%s", id, item))
			}
			for got := ""; !strings.HasPrefix(got, fmt.Sprintf(`e %d {"code":"credit"`, id)); {
				got = p.line()
				if strings.HasPrefix(got, "r ") {
					t.Fatalf("got %q", got)
				}
			}
		}
		bounded(t, before, 4<<20)
	})
}
