package ape

import (
	"context"
	"iter"
	"reflect"
	"time"

	"github.com/goape/ape/codec"
	"github.com/goape/ape/internal/line"
	"github.com/goape/ape/internal/transport"
)

// Target is who can be called: a *Client, a *Conn, or what Server.To returns.
type Target interface {
	// target returns the end to call, or ErrNoTarget or ErrGone.
	target() (*peer, error)
}

// CallOption changes how Invoke and InvokeStream call.
type CallOption func(*callOptions)

type callOptions struct {
	key     string
	timeout time.Duration
	timed   bool // timeout was given
	items   bool // the input is items
	stream  bool // items come back
}

// Key gives the call an idempotency key: sent again with the same key, by the
// same identity and to the same path, it does not run again within
// Options.KeyWindow, but gets the first one's answer. A Conn sends a call with a
// key again by itself when its session was lost. Servers that call clients have
// no use for it.
func Key(key string) CallOption { return func(o *callOptions) { o.key = key } }

// Timeout ends the call with deadline after d, at both ends. 0 or less: never.
// Without it a deadline of the context counts, and else the usual timeout.
func Timeout(d time.Duration) CallOption {
	return func(o *callOptions) { o.timeout, o.timed = d, true }
}

// Invoke calls a path of the other end and waits for its answer: a handler of a
// client's from the server, a controller of the server's from a Conn.
//
// in is encoded by package codec; nil is null, and codec.Undefined nothing. A func
// of the form func(yield func(T, error) bool), an iter.Seq2, is sent as a stream
// of items; an error in it cancels the call and is returned. Out may be struct{},
// which takes any answer, and any.
//
// Invoke waits as long as Timeout says, else until ctx's deadline, else 10 s by
// default (Options.Timeout, DialOptions.Timeout); with items without end. A peer
// that has lost its connection is waited for within that time. The handler's
// context ends with it.
//
// The error is ErrNoTarget when there never was such a client, ErrGone when its
// session has ended, both at once; or the *Error that the other end answered, such
// as not_found when it has no such handler, or one of code deadline, cancelled,
// busy, too_large, lost, overflow or unsupported made here.
func Invoke[Out any](ctx context.Context, to Target, path string, in any, opts ...CallOption) (out Out, err error) {
	p, o, err := prepare(to, path, in, opts)
	if err != nil {
		return out, err
	}
	ctx, cancel := o.limit(ctx, p, path)
	defer cancel()
	a, err := p.startAsk(ctx, path, in, o)
	if err != nil {
		return out, err
	}
	if err := p.waitFor(ctx, a); err != nil {
		return out, err
	}
	return out, decodePayload(&p.engine.codec, a.payload, a.octets, &out)
}

// InvokeStream calls a path of the other end that answers with a stream. The call
// is made when the result is ranged over, and anew each time. Leaving the loop
// cancels it; an error is the last thing that it yields. A path that answers once
// is a stream of one.
//
// The loop's body may take its time: the other end sends no more than
// Options.StreamWindow items ahead. Without Timeout, or a deadline of ctx, a
// stream may last as long as the session. in is that of Invoke.
func InvokeStream[Out any](ctx context.Context, to Target, path string, in any, opts ...CallOption) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var none Out
		p, o, err := prepare(to, path, in, opts)
		if err != nil {
			yield(none, err)
			return
		}
		o.stream = true
		ctx, cancel := o.limit(ctx, p, path)
		defer cancel()
		a, err := p.startAsk(ctx, path, in, o)
		if err != nil {
			yield(none, err)
			return
		}
		defer p.leave(a, Errorf(Cancelled, "the loop was left"))
		for it, err := range p.results(ctx, a) {
			var out Out
			if err == nil {
				err = decodePayload(&p.engine.codec, it.payload, it.octets, &out)
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// prepare finds the other end, and checks what can be checked before anything is
// sent.
func prepare(to Target, path string, in any, opts []CallOption) (*peer, *callOptions, error) {
	if to == nil || reflect.ValueOf(to).Kind() == reflect.Pointer && reflect.ValueOf(to).IsNil() {
		return nil, nil, ErrNoTarget
	}
	p, err := to.target()
	if err != nil {
		return nil, nil, err
	}
	if p.dialect != lineWire {
		return nil, nil, Errorf(Unsupported, "a classic client cannot be called; send it an event, or load ape.js in its page")
	}
	if err := checkName(path); err != nil {
		return nil, nil, err
	}
	o := &callOptions{}
	for _, opt := range opts {
		opt(o)
	}
	if o.items, err = isItems(in); err != nil {
		return nil, nil, err
	}
	return p, o, nil
}

// limit derives the context of the call, and notes the time that it has.
func (o *callOptions) limit(ctx context.Context, p *peer, path string) (context.Context, context.CancelFunc) {
	at, has := ctx.Deadline()
	switch {
	case o.timed:
	case has, o.stream, o.items:
		o.timeout = 0
	default:
		o.timeout = p.owner.patience(path)
	}
	if has {
		if left := max(time.Until(at), 1); o.timeout <= 0 || left <= o.timeout {
			o.timeout = left
			return ctx, func() {}
		}
	}
	if o.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, o.timeout)
}

// startAsk makes a call, and begins to send the items that go with it.
func (p *peer) startAsk(ctx context.Context, path string, in any, o *callOptions) (*ask, error) {
	if err := ctx.Err(); err != nil {
		return nil, ended(ctx)
	}
	first := in
	if o.items {
		first = codec.Undefined
	}
	a, err := p.ask(ctx, path, first, o)
	if err != nil {
		if ctx.Err() != nil && CodeOf(err) == Internal {
			err = ended(ctx)
		}
		return nil, err
	}
	if o.items && !p.engine.spawn(func() { p.engine.guard("the items of a call", func() { p.pump(a, in) }) }) {
		p.leave(a, ErrGone)
	}
	return a, nil
}

// pump sends the items of a call until they end or the call does.
func (p *peer) pump(a *ask, in any) {
	whole := false
	defer func() {
		if !whole {
			p.leave(a, Errorf(Cancelled, "the items of the call ended in a panic"))
		}
	}()
	var fail error
	for v, err := range itemsOf(in) {
		if fail = err; err == nil {
			if fail = p.emit(a.ctx, a.id, a.out, v); fail != nil {
				fail = unsendable(fail, p.limit())
			}
		}
		if fail != nil {
			break
		}
	}
	whole = true
	switch {
	case a.ctx.Err() != nil:
	case fail != nil:
		p.leave(a, fail)
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		if !a.over {
			p.insist(transport.Text(line.AppendEnd(transport.Begin(nil), a.id)))
		}
	}
}

// isItems reports whether an input is a stream of items. What cannot be sent at
// all is an error.
func isItems(in any) (bool, error) {
	t := reflect.TypeOf(in)
	if t == nil {
		return false, nil
	}
	switch t.Kind() {
	case reflect.Func:
		if isSeq(t) {
			return true, nil
		}
		return false, Errorf(Invalid, "the input is %v, which cannot be sent; items are an iter.Seq2[T, error]", t)
	case reflect.Chan:
		return false, Errorf(Invalid, "the input is %v, which cannot be sent; make an iter.Seq2[T, error] of it", t)
	}
	return false, nil
}

// isSeq reports whether a func type is an iter.Seq2[T, error].
func isSeq(t reflect.Type) bool { return t.NumIn() == 1 && t.NumOut() == 0 && isYield(t.In(0)) }

// isYield reports whether t is func(T, error) bool.
func isYield(t reflect.Type) bool {
	return t.Kind() == reflect.Func && t.NumIn() == 2 && t.In(1) == errorType && t.NumOut() == 1 && t.Out(0).Kind() == reflect.Bool
}

// itemsOf walks over items of whatever type.
func itemsOf(in any) iter.Seq2[any, error] {
	if seq, ok := in.(iter.Seq2[any, error]); ok {
		return seq
	}
	return func(yield func(any, error) bool) {
		fn := reflect.ValueOf(in)
		fn.Call([]reflect.Value{reflect.MakeFunc(fn.Type().In(0), func(args []reflect.Value) []reflect.Value {
			err, _ := args[1].Interface().(error)
			more := reflect.New(fn.Type().In(0).Out(0)).Elem()
			more.SetBool(yield(args[0].Interface(), err))
			return []reflect.Value{more}
		})})
	}
}
