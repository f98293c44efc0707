// Package api registers what clients may call.
package api

import (
	"context"
	"errors"
	"iter"

	"github.com/goape/ape"

	"example.org/app/internal/model"
)

// Things are kept in memory.
type Things struct{}

// Query limits a list.
type Query struct {
	Limit int `json:"limit,omitempty"`
}

// List returns the first things.
func (*Things) List(context.Context, Query) (*model.Page[model.Thing], error) { return nil, nil }

// Remove removes a thing for ever.
func (Things) Remove(context.Context, int64) error { return nil }

func (*Things) Watch(context.Context) iter.Seq2[model.Thing, error] { return nil }

// hello greets.
func hello(_ context.Context, name string) (string, error) { return "hello, " + name, nil }

// New returns the app's server.
func New() (*ape.Server, error) {
	app := ape.New(nil)
	things := &Things{}
	app.Use(func(next ape.Controller) ape.Controller {
		return ape.ControllerFunc(func(ctx context.Context, c *ape.Call) (any, error) { return next.Serve(ctx, c) })
	})
	app.Register("things", things)
	app.Handle("hello", ape.Func(hello))
	app.Handle("first", ape.Serial(ape.Func(things.List)))
	app.Handle("literal", ape.Get(func(context.Context) (model.Code, error) { return model.Denied, nil }))
	app.Declare(ape.Event[model.Thing]("thing/changed"), ape.Handler[model.Color, bool]("confirm"))
	return app, nil
}

// Broken fails.
func Broken() (*ape.Server, error) { return nil, errors.New("no database") }

// Nothing is no server.
func Nothing() *ape.Server { return nil }

// With takes something.
func With(int) *ape.Server { return nil }

func hidden() *ape.Server { return ape.New(nil) }
