package ape

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Controller is what a path runs. Func, Do, Get and Serial make one of a plain
// Go func; implement it to take calls undecoded.
//
// Serve returns what the client gets. It runs on a goroutine of its own, and
// ctx ends when the session ends, the caller cancels or the deadline passes.
type Controller interface {
	Serve(ctx context.Context, c *Call) (result any, err error)
}

// ControllerFunc is a func as a Controller.
type ControllerFunc func(ctx context.Context, c *Call) (any, error)

// Serve calls f.
func (f ControllerFunc) Serve(ctx context.Context, c *Call) (any, error) { return f(ctx, c) }

// Middleware wraps a controller. It is the one way to put something around
// calls: logging, permissions, metrics.
type Middleware func(next Controller) Controller

// Handle registers the controller of a path. A path is segments of UTF-8
// without control characters, joined by "/", together at most 255 bytes; a last
// segment "*" takes every longer path that has no controller of its own.
//
// It panics when the path is malformed or taken, also by one that differs only
// in case (classic clients do not tell them apart), and when c cannot work.
// Call it before the first request.
func (s *Server) Handle(path string, c Controller) { s.routes.add(path, c, s.middleware) }

// Use puts middleware around every controller that is registered after it, the
// first one outermost. It panics when controllers are registered already.
func (s *Server) Use(mws ...Middleware) {
	if len(s.routes.exact)+len(s.routes.wild) > 0 {
		panic("ape: Use: controllers are registered already; call Use before the first Handle, or use Group")
	}
	s.middleware = append(s.middleware, mws...)
}

// Group returns a place to register paths under prefix with middleware of their
// own, inside the server's.
func (s *Server) Group(prefix string, mws ...Middleware) *Group {
	return &Group{server: s, prefix: prefix, middleware: mws}
}

// Group registers controllers under a common prefix.
type Group struct {
	server     *Server
	prefix     string
	middleware []Middleware // inside the server's
}

// Handle registers the controller of prefix/path, as Server.Handle does.
func (g *Group) Handle(path string, c Controller) { g.add(joinPath(g.prefix, path), c) }

// Register registers the methods of v under prefix/path, as Server.Register
// does.
func (g *Group) Register(path string, v any) { register(joinPath(g.prefix, path), v, g.add) }

// Group returns a group inside this one.
func (g *Group) Group(prefix string, mws ...Middleware) *Group {
	return &Group{server: g.server, prefix: joinPath(g.prefix, prefix), middleware: join(g.middleware, mws)}
}

// add is Handle for a path that has the prefix already.
func (g *Group) add(path string, c Controller) {
	g.server.routes.add(path, c, join(g.server.middleware, g.middleware))
}

func join(a, b []Middleware) []Middleware {
	return append(append(make([]Middleware, 0, len(a)+len(b)), a...), b...)
}

func joinPath(prefix, path string) string {
	switch {
	case prefix == "":
		return path
	case path == "":
		return prefix
	}
	return prefix + "/" + path
}

const maxName = 255 // bytes of a path, event or channel

// checkName says what is wrong with a path, event or channel name.
func checkName(name string) error {
	switch {
	case name == "":
		return Errorf(Invalid, "the name is empty")
	case len(name) > maxName:
		return Errorf(Invalid, "the name has %d bytes, at most %d are allowed", len(name), maxName)
	case !utf8.ValidString(name):
		return Errorf(Invalid, "the name is not UTF-8")
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] == 0x7f {
			return Errorf(Invalid, "the name holds a control character")
		}
	}
	return nil
}

// trimSlash removes one leading slash: "/news" and "news" are one channel.
func trimSlash(name string) string { return strings.TrimPrefix(name, "/") }

// mustPath panics when a path cannot be registered.
func mustPath(path string) {
	if err := checkName(path); err != nil {
		panic(fmt.Sprintf("ape: handle %q: %v", path, err.(*Error).Message))
	}
	for seg := range strings.SplitSeq(path, "/") {
		if seg == "" {
			panic(fmt.Sprintf("ape: handle %q: a segment is empty; write segments joined by single slashes, without one at either end", path))
		}
	}
	if i := strings.Index(path, "*"); i >= 0 && (i != len(path)-1 || i > 0 && path[i-1] != '/') {
		panic(fmt.Sprintf("ape: handle %q: * stands only as the whole last segment, as in \"files/*\"", path))
	}
}

// description is what a controller knows of itself.
type description struct {
	known   bool
	in      reflect.Type // nil: it takes no value
	item    reflect.Type // nil: it takes no stream of items
	out     reflect.Type // of the result, or of its items; nil: none
	streams bool         // the result is a stream
	mend    string       // what to write instead, when it cannot work
}

// describe asks a controller for its types; one that was written by hand does
// not know them.
func describe(c Controller) description {
	d, ok := c.(interface{ describe() description })
	if !ok {
		return description{}
	}
	what := d.describe()
	what.known = true
	return what
}

// mustController panics when a controller cannot work.
func mustController(path string, c Controller) {
	if c == nil {
		panic(fmt.Sprintf("ape: handle %q: the controller is nil", path))
	}
	if v := reflect.ValueOf(c); v.Kind() == reflect.Func && v.IsNil() {
		panic(fmt.Sprintf("ape: handle %q: the controller is a nil func", path))
	}
	if d := describe(c); d.mend != "" {
		panic(fmt.Sprintf("ape: handle %q: %s", path, d.mend))
	}
}
