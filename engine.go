package ape

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/goape/ape/codec"
	"github.com/goape/ape/internal/line"
)

// engine runs the calls that come to one end of a session. A Server has one for
// all of its clients, a Conn one for what its server calls.
type engine struct {
	opt      Options
	routes   routes
	codec    codec.Options // for what comes in
	split    line.Splitter
	counters counters

	// ctx is the parent of every session's context.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// tasks counts the goroutines that were started. closed is set once none may
	// be added from outside of them.
	life   sync.Mutex
	closed bool
	tasks  sync.WaitGroup
	// workers run the calls.
	workers workers
}

func (g *engine) init(o Options) {
	g.opt, g.routes = o, newRoutes()
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	g.codec = codec.Options{MaxDepth: o.MaxDepth, MaxSize: 4 * o.MaxMessage}
	g.split = line.Splitter{Limit: o.MaxMessage, Hard: hardFactor * o.MaxMessage}
	g.workers.group = &g.tasks
}

// spawn runs f on a goroutine that the engine's end waits for. Behind that end
// it does nothing and returns false.
func (g *engine) spawn(f func()) bool {
	g.life.Lock()
	defer g.life.Unlock()
	if g.closed {
		return false
	}
	g.tasks.Go(f)
	return true
}

// close ends the engine. tasks counts what is still under way.
func (g *engine) close(why *CloseError) {
	g.life.Lock()
	g.closed = true
	g.life.Unlock()
	g.workers.close()
	g.cancel(why)
}

// guard calls f; a panic is logged.
func (g *engine) guard(name string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			g.counters.panics.Add(1)
			g.opt.Logger.Error("ape: panic in "+name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// try calls a hook; its panic is logged and returned as errPanic.
func (g *engine) try(name string, hook func() error) (err error) {
	panicked := true
	g.guard(name, func() {
		err = hook()
		panicked = false
	})
	if panicked {
		return errPanic
	}
	return err
}
