package apetest

import (
	"context"
	"testing"
	"time"

	"github.com/goape/ape"
)

// dialPatience is longer than ape.Dial takes to try everything.
const dialPatience = time.Minute

// Dial connects to the app with ape.Dial, fails t when it cannot, and closes the
// connection when t ends. o may be nil; its DialContext, if it has none, is the
// server's.
func (s *Server) Dial(t testing.TB, o *ape.DialOptions) *ape.Conn {
	t.Helper()
	var opt ape.DialOptions
	if o != nil {
		opt = *o
	}
	if opt.DialContext == nil {
		opt.DialContext = s.DialContext
	}
	ctx, cancel := context.WithTimeout(t.Context(), dialPatience)
	defer cancel()
	c, err := ape.Dial(ctx, s.URL(), &opt)
	if err != nil {
		t.Fatalf("apetest: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
