package ape

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"reflect"

	"github.com/goape/ape/codec"
)

// Stream makes a controller of a func whose results are a stream. Each is sent as
// it is yielded, and only as far as the client reads: a slow client makes yield
// wait. When the client leaves its loop, or is gone, yield returns false and the
// context ends. An error is the end: the client's loop throws it.
//
// A stream has no time limit but one that its caller asks for. A client of ape.1
// that wants one answer instead of a stream gets invalid; classic clients, which
// know no streams, get all results as one array, as long as it is below their
// limit for a message.
func Stream[In, Out any](f func(context.Context, In) iter.Seq2[Out, error]) Controller {
	return streamController[In, Out](f)
}

type streamController[In, Out any] func(context.Context, In) iter.Seq2[Out, error]

func (f streamController[In, Out]) Serve(ctx context.Context, c *Call) (any, error) {
	var in In
	if err := c.decodeInto(&in); err != nil {
		return nil, err
	}
	return emitAll(c, func() iter.Seq2[Out, error] { return f(ctx, in) })
}

func (f streamController[In, Out]) describe() description {
	in := reflect.TypeFor[In]()
	return description{in: in, out: reflect.TypeFor[Out](), streams: true, mend: inputMend(in, f == nil)}
}

// Collect makes a controller of a func whose input is a stream of items, which
// end when the client says so. An item that does not fit is yielded as an error
// of code invalid, and so is, as its context's error, the end of a call that was
// cancelled. Leaving the loop early is fine: what the client still sends is
// dropped. A client that sends one value instead of items sends one item.
func Collect[Item, Out any](f func(context.Context, iter.Seq2[Item, error]) (Out, error)) Controller {
	return collectController[Item, Out](f)
}

type collectController[Item, Out any] func(context.Context, iter.Seq2[Item, error]) (Out, error)

func (f collectController[Item, Out]) Serve(ctx context.Context, c *Call) (any, error) {
	out, err := f(ctx, itemsAs[Item](c))
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (f collectController[Item, Out]) describe() description {
	item := reflect.TypeFor[Item]()
	return description{item: item, out: reflect.TypeFor[Out](), mend: inputMend(item, f == nil)}
}

// Duplex makes a controller of a func with a stream in either direction: what
// [Collect] says of its input and [Stream] of its results.
func Duplex[Item, Out any](f func(context.Context, iter.Seq2[Item, error]) iter.Seq2[Out, error]) Controller {
	return duplexController[Item, Out](f)
}

type duplexController[Item, Out any] func(context.Context, iter.Seq2[Item, error]) iter.Seq2[Out, error]

func (f duplexController[Item, Out]) Serve(ctx context.Context, c *Call) (any, error) {
	return emitAll(c, func() iter.Seq2[Out, error] { return f(ctx, itemsAs[Item](c)) })
}

func (f duplexController[Item, Out]) describe() description {
	item := reflect.TypeFor[Item]()
	return description{item: item, out: reflect.TypeFor[Out](), streams: true, mend: inputMend(item, f == nil)}
}

// emitAll sends what results yields. It is only asked for when the caller takes a
// stream.
func emitAll[Out any](c *Call, results func() iter.Seq2[Out, error]) (any, error) {
	if err := c.mayEmit(); err != nil {
		return nil, err
	}
	if c.out == nil {
		c.kept = []any{} // an empty stream is an empty array
	}
	for v, err := range results() {
		if err == nil {
			err = c.Emit(v)
		}
		if err != nil {
			return nil, err
		}
	}
	return codec.Undefined, nil
}

// itemsAs are the items of a call as values.
func itemsAs[T any](c *Call) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for it, err := range c.Items() {
			var v T
			if err == nil {
				err = it.Decode(&v)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// Emit sends one result of a stream, and waits until the caller has room for it.
// It returns the context's error when the call has ended, and an *Error of code
// invalid when the caller takes no stream, or too_large when it takes no item of
// that size; the stream may go on behind that. A controller that has sent its
// last item returns codec.Undefined.
//
// It may be called from several goroutines, until the controller returns.
func (c *Call) Emit(v any) error {
	if err := c.mayEmit(); err != nil {
		return err
	}
	if c.out == nil {
		return c.keepItem(v)
	}
	err := c.peer.emit(&c.ctx, c.id, c.out, v)
	if errors.Is(err, codec.ErrTooLarge) {
		return Errorf(TooLarge, "the item has more than the %d bytes that this client takes", c.peer.limit())
	}
	if err != nil && c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	return err
}

// mayEmit says why the caller can get no stream.
func (c *Call) mayEmit() error {
	switch {
	case c.event:
		return Errorf(Invalid, "%q answers with a stream, and an event gets no answer: call it", c.path)
	case c.out == nil && c.peer.dialect == lineWire:
		return Errorf(Invalid, "%q answers with a stream: read it with `for await` (JavaScript) or InvokeStream (Go)", c.path)
	}
	return nil
}

// keepItem adds to the array that a classic client gets for a stream.
func (c *Call) keepItem(v any) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	text, err := appendClassicMember(nil, v, c.peer.limit())
	if err != nil {
		return c.misencoded(err)
	}
	if octets, is := v.([]byte); is {
		v = bytes.Clone(octets) // the next item may be read into the same bytes
	}
	c.peer.mu.Lock()
	defer c.peer.mu.Unlock()
	if c.size += len(text); c.size > c.peer.limit() {
		return Errorf(TooLarge, "the stream has more than the %d bytes that a classic client takes as one array", c.peer.limit())
	}
	c.kept = append(c.kept, v)
	return nil
}

// Item is one item of a stream to a controller.
type Item struct {
	item
	engine *engine
}

// Decode stores the item in v, as [Call.Decode] does for an input.
func (i *Item) Decode(v any) error { return decodePayload(&i.engine.codec, i.payload, i.octets, v) }

// Items are the items that the caller sends, as they come. They end when the
// caller ends them; with the context's error when the call ends before. The first
// range over them lets items come, so a controller that never looks at them gets
// none. A caller that sends no items but a value sends one.
//
// Only one goroutine may range over them at a time; a second range goes on where
// the first has stopped.
func (c *Call) Items() iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		if c.in == nil {
			if c.payload != nil || c.message != nil {
				c.one(yield)
			}
			return
		}
		p := c.peer
		p.mu.Lock()
		if c.in.more == nil && !c.answered {
			p.credit(c.id, c.in.start())
		}
		p.mu.Unlock()
		for {
			it, ok, err := p.next(&c.ctx, c.id, c.in, &p.calls.bytes)
			if err != nil {
				yield(nil, err)
				return
			}
			if !ok || !yield(&Item{it, p.engine}, nil) {
				return
			}
		}
	}
}

// one yields what was sent instead of items.
func (c *Call) one(yield func(*Item, error) bool) {
	payload := c.payload
	if c.message != nil {
		var v any
		if err := c.decodeInto(&v); err != nil {
			yield(nil, err)
			return
		}
		text, err := appendValue(nil, v, 0)
		if err != nil {
			yield(nil, c.misencoded(err))
			return
		}
		payload = text
	}
	yield(&Item{item{payload, c.octets}, c.peer.engine}, nil)
}
