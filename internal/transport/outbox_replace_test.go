package transport_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goape/ape/internal/transport"
)

func TestReplaceChangesWhatIsWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := transport.NewBudget(1 << 20)
		r, o, w := strict(1<<20, budget)
		long := text(strings.Repeat("b", 1000) + "\n")
		o.Append(text("a\n"), false)
		o.Append(long, false)
		o.Append(text("c\n"), false)
		if got := r.written(); strings.Count(got, "\n") != 3 {
			t.Fatalf("wrote %q", got)
		}
		o.Ack(1)
		for _, n := range []uint64{0, 1, 4, 99} { // what is not held stays
			o.Replace(n, text("never\n"))
		}
		before, _ := o.Bytes()
		o.Replace(2, text("B\n"))
		kept, fresh := o.Bytes()
		if won := long.Size() - text("B\n").Size(); kept != before-won || fresh != 0 || int64(kept) != budget.Used() {
			t.Errorf("%d bytes are kept of %d, %d fresh, %d of the budget", kept, before, fresh, budget.Used())
		}
		w.Stop()
		o.Append(text("d\n"), false)
		o.Replace(4, text("DD\n")) // before it was written at all
		if kept, fresh := o.Bytes(); fresh != text("DD\n").Size() || int64(kept) != budget.Used() {
			t.Errorf("%d bytes are kept, %d fresh, %d of the budget", kept, fresh, budget.Used())
		}
		r = newRecorder()
		w = transport.NewWriter(r, transport.DialLines, nil)
		o.Attach(w, 1)
		if got := r.written(); got != "B\nc\nDD\n" {
			t.Errorf("wrote %q again", got)
		}
		if _, fresh := o.Bytes(); fresh != 0 {
			t.Errorf("%d bytes are fresh behind all", fresh)
		}
		w.Stop()
		o.End()
		if budget.Used() != 0 {
			t.Errorf("%d bytes of the budget are left", budget.Used())
		}
	})
}
