package ape

import (
	"cmp"
	"context"
	"fmt"
	"reflect"

	"github.com/goape/ape/codec"
)

// Func makes a controller of a func with an input and a result: an existing
// service method is one as it is. In may be struct{}, which takes any input or
// none. An input that does not fit is answered with invalid, and f does not run.
func Func[In, Out any](f func(context.Context, In) (Out, error)) Controller {
	return funcController[In, Out](f)
}

type funcController[In, Out any] func(context.Context, In) (Out, error)

func (f funcController[In, Out]) Serve(ctx context.Context, c *Call) (any, error) {
	var in In
	if err := c.decodeInto(&in); err != nil {
		return nil, err
	}
	out, err := f(ctx, in)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (f funcController[In, Out]) describe() description {
	in, out := reflect.TypeFor[In](), reflect.TypeFor[Out]()
	return description{in: in, out: out, mend: cmp.Or(inputMend(in, f == nil), resultMend(out))}
}

// Do makes a controller of a func without a result. The client gets undefined.
func Do[In any](f func(context.Context, In) error) Controller { return doController[In](f) }

type doController[In any] func(context.Context, In) error

func (f doController[In]) Serve(ctx context.Context, c *Call) (any, error) {
	var in In
	if err := c.decodeInto(&in); err != nil {
		return nil, err
	}
	return codec.Undefined, f(ctx, in)
}

func (f doController[In]) describe() description {
	in := reflect.TypeFor[In]()
	return description{in: in, mend: inputMend(in, f == nil)}
}

// Get makes a controller of a func without an input. What a client sends along
// is ignored.
func Get[Out any](f func(context.Context) (Out, error)) Controller { return getController[Out](f) }

type getController[Out any] func(context.Context) (Out, error)

func (f getController[Out]) Serve(ctx context.Context, _ *Call) (any, error) {
	out, err := f(ctx)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (f getController[Out]) describe() description {
	out := reflect.TypeFor[Out]()
	return description{out: out, mend: cmp.Or(inputMend(nil, f == nil), resultMend(out))}
}

// inputMend says what is wrong with a controller's func, "" for nothing.
func inputMend(in reflect.Type, isNil bool) string {
	switch {
	case isNil:
		return "the func is nil"
	case in == nil:
		return ""
	case in.Kind() == reflect.Func && isSeq(in):
		return fmt.Sprintf("input is %v: use Collect (one result) or Duplex (a stream)", in)
	case in.Kind() == reflect.Func, in.Kind() == reflect.Chan:
		return fmt.Sprintf("input is %v, which no client can send; take a value", in)
	}
	return ""
}

// resultMend says what is wrong with a result's type, "" for nothing.
func resultMend(out reflect.Type) string {
	switch {
	case out.Kind() == reflect.Func && isSeq(out):
		return fmt.Sprintf("result is %v: use Stream, without the error beside it", out)
	case out.Kind() == reflect.Func, out.Kind() == reflect.Chan:
		return fmt.Sprintf("result is %v, which cannot be sent; use Stream, or return a value", out)
	}
	return ""
}

// Serial makes one client's calls through c run one at a time, in the order in
// which they came. Give it to Handle directly, under several paths if they
// shall share the order; middleware belongs to Use, Group or inside c.
func Serial(c Controller) Controller {
	if c == nil {
		panic("ape: Serial: the controller is nil")
	}
	return &serial{inner: c}
}

// serial is known to the dispatcher, which keeps the order.
type serial struct{ inner Controller }

func (s *serial) Serve(ctx context.Context, c *Call) (any, error) {
	if c.route.lane != s {
		return nil, fmt.Errorf("ape: %q: Serial must be what is handed to Handle, and not be wrapped by hand", c.Path())
	}
	return s.inner.Serve(ctx, c)
}

func (s *serial) describe() description { return describe(s.inner) }
