package ape_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape"
)

type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("encoding explodes") }

// failures are controllers that fail, by path.
func failures(app *ape.Server) {
	fail := func(path string, err error) {
		app.Handle(path, ape.Get(func(context.Context) (int, error) { return 5, err }))
	}
	fail("plain", errors.New("secret: the database is down"))
	fail("shown", ape.Errorf(ape.NotFound, "no user %d", 9))
	fail("data", &ape.Error{Code: "own.code", Message: "sorry", Data: map[string]int{"id": 9}})
	fail("bare", &ape.Error{Code: ape.Conflict})
	fail("wrapped", fmt.Errorf("secret: %w", ape.Errorf(ape.Denied, "not you")))
	fail("odd data", &ape.Error{Code: ape.Failed, Message: "still told", Data: make(chan int)})
	fail("explosive data", &ape.Error{Code: ape.Failed, Message: "still told", Data: explosive{}})
	app.Handle("do", ape.Do(func(context.Context, any) error { return ape.Errorf(ape.Exists, "there") }))
	app.Handle("panic", ape.Get(func(context.Context) (int, error) { panic("secret: nil map") }))
	app.Handle("chan", ape.Get(func(context.Context) (any, error) { return make(chan int), nil }))
	app.Handle("explosive", ape.Get(func(context.Context) (any, error) { return explosive{}, nil }))
	app.Handle("own cancel", ape.Get(func(context.Context) (int, error) { return 0, context.Canceled }))
}

func TestOnlyErrorsMeantForClientsAreTold(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		failures(s.app)
		u := s.join(w)
		for path, text := range map[string]string{
			"plain":          "internal: internal error",
			"shown":          "not_found: no user 9",
			"data":           `own.code: sorry {"id":9}`,
			"wrapped":        "denied: not you",
			"odd data":       "failed: still told",
			"explosive data": "failed: still told",
			"do":             "exists: there",
			"panic":          "internal: internal error",
			"chan":           "internal: the result cannot be encoded",
			"explosive":      "internal: the result cannot be encoded",
			"own cancel":     "internal: internal error",
		} {
			if got := u.call(path, "").String(); got != text {
				t.Errorf("%s: got %s, want %s", path, got, text)
			}
		}
		want(t, u.call("bare", "").code, ape.Conflict)
		for _, part := range []string{"the database is down", "secret: nil map", "errors_test.go", "encoding explodes", "path=plain"} {
			if !strings.Contains(s.log.String(), part) {
				t.Errorf("the log lacks %q", part)
			}
		}
	})
}

func TestInvalidInputNamesTheField(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		ran := false
		s.app.Handle("list", ape.Do(func(context.Context, struct {
			Users []struct{ Age int } `json:"users"`
		}) error {
			ran = true
			return nil
		}))
		s.app.Handle("text", ape.Do(func(context.Context, string) error { ran = true; return nil }))
		u := s.join(w)
		for _, c := range []struct{ path, payload, part string }{
			{"list", `{"users":[{"age":1},{"age":"x"}]}`, "users[1].Age: want a whole number (int), got a string"},
			{"list", `{"users<![,]>":[{"age":1},{"age":"x"}]}`, "users[1].Age: want a whole number (int), got a string"},
			{"list", `[]`, "want an object, got an array"},
			{"text", `5`, "want a string, got the number 5"},
		} {
			r := u.call(c.path, c.payload)
			if r.code != ape.Invalid || !strings.Contains(strings.ToLower(r.text), strings.ToLower(c.part)) {
				t.Errorf("%s: got %v, want invalid with %q", c.payload, r, c.part)
			}
			if strings.Contains(r.text, "codec:") {
				t.Errorf("%s: the text %q names a package", c.payload, r.text)
			}
		}
		if ran {
			t.Error("a controller ran in spite of its input")
		}
	})
}

func TestBytesForAControllerThatTakesJSONAreInvalid(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("text", ape.Do(func(context.Context, string) error { return nil }))
		want(t, s.join(w).call("text", "=AAEC"), "invalid: these are bytes, expected is JSON")
	}, lineSocket, lineStream)
}

func TestTooDeepInputIsInvalid(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxDepth: 8})
		s.app.Handle("any", ape.Do(func(context.Context, any) error { return nil }))
		u := s.join(w)
		nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
		want(t, u.call("any", nest(5)), "undefined")
		want(t, u.call("any", nest(20)).code, ape.Invalid)
		want(t, u.call("any", `{"a<!D>":5,"b":`+nest(20)+`}`).code, ape.Invalid)
		want(t, u.call("any", nest(5)), "undefined")
	})
}

func TestUnknownPathsAreAnsweredWithTheNearestOne(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("users/list", ape.Get(func(context.Context) (int, error) { return 1, nil }))
		s.app.Handle("users/last", ape.Get(func(context.Context) (int, error) { return 1, nil }))
		u := s.join(w)
		want(t, u.call("user/list", ""), `not_found: no controller is registered for "user/list"; did you mean "users/list"?`)
		want(t, u.call("weather", ""), `not_found: no controller is registered for "weather"`)
		want(t, u.call("toString", ""), `not_found: no controller is registered for "toString"`)
		long := strings.Repeat("x", 200)
		if r := u.call(long, ""); r.code != ape.NotFound || len(r.text) > 150 {
			t.Errorf("got %v, want a short not_found", r)
		}
	})
}

func TestACallsContextEndsWithItsDeadline(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Handle("wait", ape.Get(func(ctx context.Context) (any, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("stopped: %w", ctx.Err())
		}))
		s.app.Handle("deadline", ape.Get(func(ctx context.Context) (int64, error) {
			at, _ := ctx.Deadline()
			return time.Until(at).Milliseconds(), nil
		}))
		u := s.join(w)
		want(t, u.call("deadline;t=1500", ""), "1500")
		begin := time.Now()
		want(t, u.call("wait;t=30", ""), "deadline: the call's time was up")
		want(t, time.Since(begin), 30*time.Millisecond)
		want(t, u.call("wait;t=x", "").code, ape.Malformed)
		want(t, u.call("deadline;t=9007199254740991", "").code, "")
	}, lineSocket, lineStream)
}

func TestACallsContextEndsWhenItIsCancelled(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var cause error
		s.app.Handle("wait", ape.Get(func(ctx context.Context) (any, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return nil, cause
		}))
		u := s.join(w).(*lineUser)
		c := u.begin("wait", "")
		synctest.Wait()
		u.write("x 1", true)
		want(t, u.wait(c), "cancelled: the call was cancelled")
		want(t, cause, context.Canceled)
		u.write("x 1", true) // crossed with the answer
		want(t, u.call("wait;t=1", "").code, ape.Deadline)
	}, lineSocket, lineStream)
}

func TestCancelledAndOverdueCallsThatWaitForAPlaceAreAnsweredAtOnce(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, &ape.Options{MaxRunning: 1})
		free := make(chan struct{})
		s.app.Handle("hold", ape.Get(func(context.Context) (int, error) { <-free; return 1, nil }))
		s.app.Handle("never", ape.Get(func(context.Context) (int, error) { t.Error("it ran"); return 0, nil }))
		u := s.join(w).(*lineUser)
		hold := u.begin("hold", "")
		synctest.Wait()
		cancelled, overdue := u.begin("never", ""), u.begin("never;t=50", "")
		synctest.Wait()
		u.write("x 3", true)
		want(t, u.wait(cancelled).code, ape.Cancelled)
		want(t, u.wait(overdue).code, ape.Deadline)
		close(free)
		want(t, u.wait(hold), "1")
	}, lineSocket, lineStream)
}

func TestACallsContextEndsWithItsSession(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		ended := make(chan error, 1)
		s.app.Handle("wait", ape.Get(func(ctx context.Context) (any, error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, ctx.Err()
		}))
		u := s.join(w)
		u.begin("wait", "")
		synctest.Wait()
		s.client(u).Close(ape.CloseKicked, "go")
		cause := <-ended
		var why *ape.CloseError
		if !errors.As(cause, &why) || *why != (ape.CloseError{Code: ape.CloseKicked, Reason: "go"}) || !errors.Is(cause, ape.ErrGone) {
			t.Errorf("the cause is %v", cause)
		}
		if w == classicStream {
			want(t, u.end(), "")
		} else {
			want(t, u.end(), "kicked")
		}
	})
}

func TestErrorsCompareByCodeAndByIdentity(t *testing.T) {
	err := fmt.Errorf("outer: %w", ape.Errorf(ape.NotFound, "no user"))
	for _, c := range []struct {
		err, target error
		want        bool
	}{
		{err, &ape.Error{Code: ape.NotFound}, true},
		{err, &ape.Error{Code: ape.Denied}, false},
		{err, ape.ErrNoTarget, false},
		{ape.ErrNoTarget, ape.ErrNoTarget, true},
		{fmt.Errorf("x: %w", ape.ErrGone), ape.ErrGone, true},
		{ape.ErrGone, ape.ErrNoTarget, false},
		{&ape.CloseError{Code: ape.CloseSlow}, ape.ErrGone, true},
	} {
		if got := errors.Is(c.err, c.target); got != c.want {
			t.Errorf("errors.Is(%v, %v) = %v", c.err, c.target, got)
		}
	}
	want(t, ape.CodeOf(nil), "")
	want(t, ape.CodeOf(err), ape.NotFound)
	want(t, ape.CodeOf(errors.New("x")), ape.Internal)
	want(t, &ape.CloseError{Code: 4321, Reason: "why"}, "ape: session ended: closed.4321: why")
}

func TestACallThatIsCancelledInItsLaneLeavesTheOrderOfTheOthers(t *testing.T) {
	overWays(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		free := make(chan struct{})
		var ran []int
		s.app.Handle("lane", ape.Serial(ape.Do(func(_ context.Context, n int) error {
			<-free
			ran = append(ran, n)
			return nil
		})))
		u := s.join(w).(*lineUser)
		var answers []<-chan result
		for i := range 4 {
			answers = append(answers, beginInOrder(u, "lane", fmt.Sprint(i)))
		}
		u.write("x 5", true) // the third
		want(t, u.wait(answers[2]).code, ape.Cancelled)
		close(free)
		for _, i := range []int{0, 1, 3} {
			want(t, u.wait(answers[i]), "undefined")
		}
		want(t, ran, "[0 1 3]")
		want(t, u.call("lane", "4"), "undefined")
	}, lineSocket, lineStream)
}
