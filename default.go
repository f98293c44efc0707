package ape

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// defaultServer is made when it is first used. Nothing but this file knows of
// it.
var defaultServer = sync.OnceValue(func() *Server { return New(nil) })

// Default returns the server that the package-level funcs use. It has the
// default options.
func Default() *Server { return defaultServer() }

// Handle is Default().Handle.
func Handle(path string, c Controller) { Default().Handle(path, c) }

// Register is Default().Register.
func Register(prefix string, v any) { Default().Register(prefix, v) }

// Use is Default().Use.
func Use(mws ...Middleware) { Default().Use(mws...) }

// ServeHTTP is Default().ServeHTTP, for http.HandleFunc("/api/", ape.ServeHTTP).
func ServeHTTP(w http.ResponseWriter, r *http.Request) { Default().ServeHTTP(w, r) }

// Broadcast is Default().Broadcast.
func Broadcast(event string, data any, opts ...SendOption) error {
	return Default().Broadcast(event, data, opts...)
}

// Publish is Default().Publish.
func Publish(channel string, data any) error { return Default().Publish(channel, data) }

// SendTo is Default().SendTo.
func SendTo(ctx context.Context, clientID, event string, data any) error {
	return Default().SendTo(ctx, clientID, event, data)
}

// To is Default().To.
func To(clientID string) Target { return Default().To(clientID) }

// Declare is Default().Declare.
func Declare(more ...Declaration) { Default().Declare(more...) }

// WriteTypes is Default().WriteTypes.
func WriteTypes(w io.Writer) error { return Default().WriteTypes(w) }

// Clients is Default().Clients.
func Clients() func(yield func(*Client) bool) { return Default().Clients() }

// Online is Default().Online.
func Online() int { return Default().Online() }

// ServerID is Default().ServerID.
func ServerID() string { return Default().ServerID() }

// Shutdown is Default().Shutdown.
func Shutdown(ctx context.Context) error { return Default().Shutdown(ctx) }
