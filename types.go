package ape

import (
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"

	"github.com/goape/ape/internal/typescript"
)

// WriteTypes writes TypeScript declarations of what clients may use to w: the
// registered paths with their inputs and results, and what [Server.Declare] was
// told. With them a wrong path, argument or field does not compile:
//
//	import { connect } from "@goape/ape";
//	import type { Api } from "./api";
//	const api = connect<Api>();
//
// Types are declared as the browser's client decodes them. A member may be left
// out where the field has the option omitempty or omitzero, and an argument
// where all of its members may be. A nil pointer, slice or map is null, and so
// it is in the declarations; omitempty takes the null away. Numbers are of type
// number, which keeps 53 bits: give int64s that are larger the option string. A
// type with a method Values() []T is a union of these values. Nothing is known
// of controllers that implement [Controller] by hand.
//
// The same server writes the same bytes. It is an error when a type cannot be
// written as JSON, such as a func. Call it after everything is registered. The
// command ape-types calls it for a program, and adds what only the text of the
// program tells.
func (s *Server) WriteTypes(w io.Writer) error {
	var schema typescript.Schema
	for _, r := range s.routes.folded {
		schema.Paths = append(schema.Paths, typescript.Path{
			Name:    r.pattern,
			Unknown: !r.desc.known,
			In:      r.desc.in,
			Item:    r.desc.item,
			Out:     r.desc.out,
			Streams: r.desc.streams,
			Func:    r.source,
		})
	}
	for _, d := range s.declared {
		switch d.what {
		case "event":
			schema.Events = append(schema.Events, typescript.Message{Name: d.name, Type: d.in})
		case "channel":
			schema.Channels = append(schema.Channels, typescript.Message{Name: d.name, Type: d.in})
		case "handler":
			schema.Handlers = append(schema.Handlers, d.handler())
		}
	}
	if err := typescript.Write(w, &schema); err != nil {
		return fmt.Errorf("ape: types: %w", err)
	}
	return nil
}

// Declaration is the types of something that clients use and that is no
// registered path. Make one with [Event], [Channel] or [Handler], and give it to
// [Server.Declare].
type Declaration struct {
	what, name string
	in, out    reflect.Type // only a handler has an out
}

// Event declares the payload of an event that the server sends. T may be
// struct{} for an event without one.
func Event[T any](name string) Declaration {
	return Declaration{"event", name, reflect.TypeFor[T](), nil}
}

// Channel declares what is published on a channel, or on every channel of a
// pattern, in which a segment "*" stands for any one: "ticker/*". T may be
// struct{} for messages without payload. A channel that has a name and a pattern
// has the type of its name. In TypeScript the star takes slashes as well: where
// "room/*/typing" is declared, "room/*" has the types of both.
func Channel[T any](pattern string) Declaration {
	return Declaration{"channel", trimSlash(pattern), reflect.TypeFor[T](), nil}
}

// Handler declares a path that clients handle and the server calls, by
// [Invoke] or [InvokeStream]. In or Out may be struct{} for a call without input
// or result, and iter.Seq2[T, error] for a stream of items.
func Handler[In, Out any](path string) Declaration {
	return Declaration{"handler", path, reflect.TypeFor[In](), reflect.TypeFor[Out]()}
}

// Declare adds to what [Server.WriteTypes] writes, and changes nothing else. As
// soon as one event is declared, only declared ones compile in a client that
// uses the types; likewise channels and handlers.
//
// It panics when a name is malformed or has been declared with another type;
// the same once more is fine. Call it before WriteTypes.
func (s *Server) Declare(more ...Declaration) {
	for _, d := range more {
		d.mustWork()
		known := false
		for _, other := range s.declared {
			if other.what != d.what || other.name != d.name {
				continue
			}
			if other != d {
				panic(fmt.Sprintf("ape: declare %s %q: it is declared as %s already, and now as %s; declare it once, or with an interface type that both fit",
					d.what, d.name, other.types(), d.types()))
			}
			known = true
		}
		if !known {
			s.declared = append(s.declared, d)
		}
	}
}

// mustWork panics when a declaration is malformed.
func (d Declaration) mustWork() {
	if d.what == "" {
		panic("ape: declare: the Declaration is empty; make one with Event, Channel or Handler")
	}
	if err := checkName(d.name); err != nil {
		panic(fmt.Sprintf("ape: declare %s %q: %v", d.what, d.name, err.(*Error).Message))
	}
	if d.what == "event" {
		return
	}
	for segment := range strings.SplitSeq(d.name, "/") {
		switch {
		case segment == "" && d.what == "handler":
			panic(fmt.Sprintf("ape: declare handler %q: a segment is empty; write segments joined by single slashes, without one at either end", d.name))
		case !strings.Contains(segment, "*"):
		case d.what == "handler":
			panic(fmt.Sprintf("ape: declare handler %q: a handler has one path, and no *; declare each path", d.name))
		case segment != "*":
			panic(fmt.Sprintf("ape: declare channel %q: * stands only as a whole segment, as in \"ticker/*\"", d.name))
		}
	}
}

// handler returns a handler as a path.
func (d Declaration) handler() typescript.Path {
	h := typescript.Path{Name: d.name, In: d.in, Out: d.out}
	if d.in.Kind() == reflect.Func && isSeq(d.in) {
		h.In, h.Item = nil, d.in.In(0).In(0)
	}
	if d.out.Kind() == reflect.Func && isSeq(d.out) {
		h.Out, h.Streams = d.out.In(0).In(0), true
	}
	return h
}

// types are the types of a declaration, as an error names them.
func (d Declaration) types() string {
	if d.out == nil {
		return d.in.String()
	}
	return d.in.String() + " with the result " + d.out.String()
}

// sourceOf names the Go func behind a controller, as runtime.FuncForPC does;
// empty where it is not known.
func sourceOf(c Controller) string {
	var pc uintptr
	switch c := c.(type) {
	case *serial:
		return sourceOf(c.inner)
	case *method:
		pc = c.pc
	default:
		if v := reflect.ValueOf(c); v.Kind() == reflect.Func {
			pc = v.Pointer()
		}
	}
	if f := runtime.FuncForPC(pc); f != nil {
		return f.Name()
	}
	return ""
}
