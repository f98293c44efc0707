package ape

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goape/ape/codec"
)

// Register registers the exported methods of v under prefix, ListAll as
// prefix/listAll. Methods have one of the shapes
//
//	func(context.Context, In) (Out, error)    func(context.Context) (Out, error)
//	func(context.Context, In) error           func(context.Context) error
//	func(context.Context, In) iter.Seq2[Out, error]
//	func(context.Context) iter.Seq2[Out, error]
//
// Exported methods of other shapes are a mistake and panic, as does a value
// without any method.
func (s *Server) Register(prefix string, v any) { register(prefix, v, s.Handle) }

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

func register(prefix string, v any, handle func(string, Controller)) {
	rv := reflect.ValueOf(v)
	if !rv.IsValid() || rv.Kind() == reflect.Pointer && rv.IsNil() {
		panic(fmt.Sprintf("ape: register %q: the value is nil", prefix))
	}
	t := rv.Type()
	if t.NumMethod() == 0 {
		mend := ""
		if t.Kind() == reflect.Struct && reflect.PointerTo(t).NumMethod() > 0 {
			mend = fmt.Sprintf("; its methods are those of the pointer, write &%s{…}", t.Name())
		}
		panic(fmt.Sprintf("ape: register %q: %v has no exported method%s", prefix, t, mend))
	}
	for i := range t.NumMethod() {
		name := t.Method(i).Name
		c, err := methodController(rv.Method(i))
		if err != nil {
			panic(fmt.Sprintf("ape: register %q: method %s is %v; %v", prefix, name, rv.Method(i).Type(), err))
		}
		c.pc = t.Method(i).Func.Pointer()
		handle(joinPath(prefix, lowerFirst(name)), c)
	}
}

// lowerFirst turns ListAll into listAll, URL and URLOf into url and urlOf, and
// HTTP2Server into http2Server.
func lowerFirst(name string) string {
	end := 0
	for i, r := range name {
		if !unicode.IsUpper(r) {
			break
		}
		next, _ := utf8.DecodeRuneInString(name[i+utf8.RuneLen(r):])
		if i > 0 && unicode.IsLower(next) {
			break
		}
		end = i + utf8.RuneLen(r)
	}
	return strings.ToLower(name[:end]) + name[end:]
}

// method is a controller made of a method by reflection.
type method struct {
	fn  reflect.Value
	in  reflect.Type // nil: none
	out reflect.Type // nil: none
	seq bool         // the result is a stream of out
	pc  uintptr      // where the method is in the program, for its doc comment
}

func methodController(fn reflect.Value) (*method, error) {
	t := fn.Type()
	want := fmt.Errorf("want func(context.Context[, In]) ([Out, ]error) or iter.Seq2[Out, error], or write it in lower case to leave it out")
	if t.IsVariadic() || t.NumIn() < 1 || t.NumIn() > 2 || t.In(0) != contextType {
		return nil, want
	}
	m := &method{fn: fn}
	switch n := t.NumOut(); {
	case n == 1 && t.Out(0).Kind() == reflect.Func && isSeq(t.Out(0)):
		m.seq, m.out = true, t.Out(0).In(0).In(0)
	case n == 2 && t.Out(1) == errorType:
		m.out = t.Out(0)
	case n != 1 || t.Out(0) != errorType:
		return nil, want
	}
	if t.NumIn() == 2 {
		m.in = t.In(1)
	}
	return m, nil
}

func (m *method) Serve(ctx context.Context, c *Call) (any, error) {
	args := []reflect.Value{reflect.ValueOf(ctx)}
	if m.in != nil {
		in := reflect.New(m.in)
		if err := c.decodeInto(in.Interface()); err != nil {
			return nil, err
		}
		args = append(args, in.Elem())
	}
	if m.seq {
		return emitAll(c, func() iter.Seq2[any, error] { return itemsOf(m.fn.Call(args)[0].Interface()) })
	}
	res := m.fn.Call(args)
	if err, _ := res[len(res)-1].Interface().(error); err != nil {
		return nil, err
	}
	if m.out == nil {
		return codec.Undefined, nil
	}
	return res[0].Interface(), nil
}

func (m *method) describe() description {
	return description{in: m.in, out: m.out, streams: m.seq, mend: inputMend(m.in, false)}
}
