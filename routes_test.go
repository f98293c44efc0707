package ape_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/goape/ape"
)

// service has methods of all shapes and names of all kinds.
type service struct{ log *[]string }

func (s *service) ListAll(context.Context) ([]string, error)       { return []string{"a", "b"}, nil }
func (s *service) Get(_ context.Context, p point) (point, error)   { return point{p.Y, p.X}, nil }
func (s *service) Delete(_ context.Context, id string) error       { *s.log = append(*s.log, id); return nil }
func (s *service) Ping(context.Context) error                      { *s.log = append(*s.log, "ping"); return nil }
func (s *service) URLOf(_ context.Context, id int) (string, error) { return fmt.Sprint("/", id), nil }
func (s *service) ID(context.Context) (int, error)                 { return 7, nil }
func (s *service) HTTP2Server(context.Context) (int, error)        { return 2, nil }
func (s *service) Fails(context.Context) error                     { return ape.Errorf(ape.Denied, "no") }

func TestRegisterServesMethodsOfAllShapes(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var log []string
		s.app.Register("svc", &service{&log})
		s.app.Group("v2").Register("svc", &service{&log})
		s.app.Register("", &service{&log})
		u := s.join(w)
		for _, c := range []struct{ path, payload, want string }{
			{"svc/listAll", ``, `["a","b"]`},
			{"svc/get", `{"x":1,"y":2}`, `{"x":2,"y":1}`},
			{"svc/get", `"x"`, `invalid: want an object, got a string`},
			{"svc/delete", `"d1"`, `undefined`},
			{"svc/ping", ``, `undefined`},
			{"svc/urlOf", `3`, `"/3"`},
			{"svc/id", ``, `7`},
			{"svc/http2Server", ``, `2`},
			{"svc/fails", ``, `denied: no`},
			{"v2/svc/delete", `"d2"`, `undefined`},
			{"listAll", ``, `["a","b"]`},
		} {
			want(t, u.call(c.path, c.payload), c.want)
		}
		want(t, log, "[d1 ping d2]")
	})
}

// note is middleware that writes its name around a call.
func note(log *[]string, name string) ape.Middleware {
	return func(next ape.Controller) ape.Controller {
		return ape.ControllerFunc(func(ctx context.Context, c *ape.Call) (any, error) {
			*log = append(*log, name)
			defer func() { *log = append(*log, "/"+name) }()
			return next.Serve(ctx, c)
		})
	}
}

func TestMiddlewareRunsFromTheOutsideIn(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		var log []string
		early := s.app.Group("early", note(&log, "g"))
		s.app.Use(note(&log, "a"), note(&log, "b"))
		s.app.Use(note(&log, "c"))
		one := ape.Get(func(context.Context) (int, error) { return 1, nil })
		s.app.Handle("one", one)
		early.Handle("two", one)
		admin := s.app.Group("admin", note(&log, "d"))
		admin.Handle("one", one)
		admin.Group("deep", note(&log, "e"), note(&log, "f")).Handle("one", ape.Serial(one))
		u := s.join(w)
		for path, text := range map[string]string{
			"one":            "[a b c /c /b /a]",
			"admin/one":      "[a b c d /d /c /b /a]",
			"admin/deep/one": "[a b c d e f /f /e /d /c /b /a]",
			"early/two":      "[a b c g /g /c /b /a]",
		} {
			log = nil
			want(t, u.call(path, ""), "1")
			if got := fmt.Sprint(log); got != text {
				t.Errorf("%s: got %s, want %s", path, got, text)
			}
		}
	})
}

func TestMiddlewareMayChangeWhatIsAnswered(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		s.app.Use(func(next ape.Controller) ape.Controller {
			return ape.ControllerFunc(func(ctx context.Context, c *ape.Call) (any, error) {
				if c.Path() == "forbidden" {
					return nil, ape.Errorf(ape.Denied, "not here")
				}
				out, err := next.Serve(ctx, c)
				return []any{out}, err
			})
		})
		one := ape.Get(func(context.Context) (int, error) { return 1, nil })
		s.app.Handle("one", one)
		s.app.Handle("forbidden", one)
		u := s.join(w)
		want(t, u.call("one", ""), "[1]")
		want(t, u.call("forbidden", ""), "denied: not here")
	})
}

func TestPathsAreFoundExactlyThenByWildcard(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		for _, p := range []string{"files/list", "files/*", "files/public/*", "Users/ListAll", "Team/*"} {
			s.app.Handle(p, ape.ControllerFunc(func(_ context.Context, c *ape.Call) (any, error) { return p + " " + c.Path(), nil }))
		}
		u := s.join(w)
		for path, text := range map[string]string{
			"files/list":       "files/list files/list",
			"files/a":          "files/* files/a",
			"files/a/b":        "files/* files/a/b",
			"files/list/x":     "files/* files/list/x",
			"files/public/a/b": "files/public/* files/public/a/b",
			"Users/ListAll":    "Users/ListAll Users/ListAll",
			"Team/x":           "Team/* Team/x",
		} {
			want(t, u.call(path, ""), `"`+text+`"`)
		}
		want(t, u.call("files", "").code, ape.NotFound)
		want(t, u.call("other/x", "").code, ape.NotFound)
		if !w.classic() {
			want(t, u.call("users/listall", "").code, ape.NotFound)
			return
		}
		want(t, u.call("users/listall", ""), `"Users/ListAll users/listall"`)
		want(t, u.call("FILES/LIST", ""), `"files/list FILES/LIST"`)
		want(t, u.call("FILES/Public/a", ""), `"files/public/* FILES/Public/a"`)
		want(t, u.call("team/X", ""), `"Team/* team/X"`)
	})
}

func TestAWildcardTakesNoPathThatHasItsOwnController(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		for _, p := range []string{"*", "Users/List", "Users/*"} {
			s.app.Handle(p, ape.ControllerFunc(func(context.Context, *ape.Call) (any, error) { return p, nil }))
		}
		u := s.join(w)
		want(t, u.call("Users/List", ""), `"Users/List"`)
		want(t, u.call("Users/x", ""), `"Users/*"`)
		want(t, u.call("else", ""), `"*"`)
		if w.classic() { // 2.3.0 sends all paths in lower case
			want(t, u.call("users/list", ""), `"Users/List"`)
			want(t, u.call("users/x", ""), `"Users/*"`)
		} else {
			want(t, u.call("users/list", ""), `"*"`)
		}
	})
}

func TestAnyNameIsOnlyAName(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := newSite(t, nil)
		names := []string{"toString", "__proto__", "say hi; 100%", "größe/日本", "a\"b", strings.Repeat("n", 255)}
		for i, name := range names {
			s.app.Handle(name, ape.Get(func(context.Context) (int, error) { return i, nil }))
		}
		u := s.join(w)
		for i, name := range names {
			if w.classic() || !strings.Contains(name, ";") { // open takes what is behind ; for params
				want(t, u.call(name, ""), i)
			}
		}
		want(t, u.call("constructor", "").code, ape.NotFound)
	})
}

type pointerOnly struct{}

func (*pointerOnly) List(context.Context) error { return nil }

type oddMethod struct{}

func (oddMethod) List(int) error { return nil }

type variadic struct{}

func (variadic) List(context.Context, ...int) error { return nil }

func TestRegistrationMistakesPanicAndSayWhatToWrite(t *testing.T) {
	ok := ape.Get(func(context.Context) (int, error) { return 1, nil })
	nobody := func(ape.Controller) ape.Controller { return nil }
	for _, c := range []struct {
		text string
		f    func(s *ape.Server)
	}{
		{`ape: handle "a": the controller is nil`, func(s *ape.Server) { s.Handle("a", nil) }},
		{`ape: handle "a": the controller is a nil func`, func(s *ape.Server) { s.Handle("a", ape.ControllerFunc(nil)) }},
		{`ape: handle "a": the controller is a nil func`, func(s *ape.Server) { s.Handle("a", ape.Func[int, int](nil)) }},
		{`ape: handle "a": the func is nil`, func(s *ape.Server) { s.Handle("a", ape.Serial(ape.Get[int](nil))) }},
		{`ape: Serial: the controller is nil`, func(s *ape.Server) { s.Handle("a", ape.Serial(nil)) }},
		{`ape: handle "sum": input is func(int), which no client can send; take a value`,
			func(s *ape.Server) { s.Handle("sum", ape.Do(func(context.Context, func(int)) error { return nil })) }},
		{`ape: handle "a": result is iter.Seq2[int,error]: use Stream, without the error beside it`,
			func(app *ape.Server) {
				app.Handle("a", ape.Get(func(context.Context) (iter.Seq2[int, error], error) { return nil, nil }))
			}},
		{`ape: handle "a": result is chan int, which cannot be sent; use Stream, or return a value`,
			func(app *ape.Server) {
				app.Handle("a", ape.Func(func(context.Context, int) (chan int, error) { return nil, nil }))
			}},
		{`ape: handle "a": input is chan int, which no client can send; take a value`,
			func(s *ape.Server) { s.Handle("a", ape.Do(func(context.Context, chan int) error { return nil })) }},
		{`ape: handle "": the name is empty`, func(s *ape.Server) { s.Handle("", ok) }},
		{`ape: handle "/a": a segment is empty; write segments joined by single slashes, without one at either end`, func(s *ape.Server) { s.Handle("/a", ok) }},
		{`ape: handle "a//b": a segment is empty; write segments joined by single slashes, without one at either end`, func(s *ape.Server) { s.Handle("a//b", ok) }},
		{`ape: handle "a\nb": the name holds a control character`, func(s *ape.Server) { s.Handle("a\nb", ok) }},
		{`ape: handle "\xff": the name is not UTF-8`, func(s *ape.Server) { s.Handle("\xff", ok) }},
		{`ape: handle "` + strings.Repeat("x", 256) + `": the name has 256 bytes, at most 255 are allowed`, func(s *ape.Server) { s.Handle(strings.Repeat("x", 256), ok) }},
		{`ape: handle "a*": * stands only as the whole last segment, as in "files/*"`, func(s *ape.Server) { s.Handle("a*", ok) }},
		{`ape: handle "*/a": * stands only as the whole last segment, as in "files/*"`, func(s *ape.Server) { s.Handle("*/a", ok) }},
		{`ape: handle "a": the path is registered already`, func(s *ape.Server) { s.Handle("a", ok); s.Handle("a", ok) }},
		{`ape: handle "a/B": "A/b" is registered and differs only in case, which classic clients do not tell apart`,
			func(s *ape.Server) { s.Handle("A/b", ok); s.Handle("a/B", ok) }},
		{`ape: handle "a": a middleware returned a nil controller`, func(s *ape.Server) { s.Use(nobody); s.Handle("a", ok) }},
		{`ape: Use: controllers are registered already; call Use before the first Handle, or use Group`, func(s *ape.Server) { s.Handle("a", ok); s.Use(nobody) }},
		{`ape: register "a": the value is nil`, func(s *ape.Server) { s.Register("a", nil) }},
		{`ape: register "a": the value is nil`, func(s *ape.Server) { s.Register("a", (*service)(nil)) }},
		{`ape: register "a": ape_test.point has no exported method`, func(s *ape.Server) { s.Register("a", point{}) }},
		{`ape: register "a": ape_test.pointerOnly has no exported method; its methods are those of the pointer, write &pointerOnly{…}`,
			func(s *ape.Server) { s.Register("a", pointerOnly{}) }},
		{`ape: register "a": method List is func(int) error; want func(context.Context[, In]) ([Out, ]error) or iter.Seq2[Out, error], or write it in lower case to leave it out`,
			func(s *ape.Server) { s.Register("a", oddMethod{}) }},
		{`ape: register "a": method List is func(context.Context, ...int) error; want func(context.Context[, In]) ([Out, ]error) or iter.Seq2[Out, error], or write it in lower case to leave it out`,
			func(s *ape.Server) { s.Register("a", variadic{}) }},
		{`ape: RateLimit(0, 5): both numbers must be above zero`, func(*ape.Server) { ape.RateLimit(0, 5) }},
		{`ape: Options.TrustedOrigins: `, func(*ape.Server) { ape.New(&ape.Options{TrustedOrigins: []string{"example.com"}}) }},
	} {
		func() {
			defer func() {
				got := fmt.Sprint(recover())
				if got != c.text && (!strings.HasSuffix(c.text, ": ") || !strings.HasPrefix(got, c.text)) {
					t.Errorf("got  %s\nwant %s", got, c.text)
				}
			}()
			c.f(ape.New(nil))
		}()
	}
}
