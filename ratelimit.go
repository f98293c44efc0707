package ape

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/time/rate"
)

// RateLimit returns middleware that lets one client make perSecond calls a
// second, burst at once, through the controllers that it is put around,
// together. Calls above are answered with busy, and retryAfter in ms as data. It
// panics when either number is not above zero. Options.Rate limits all calls of
// a client.
func RateLimit(perSecond float64, burst int) Middleware {
	if perSecond <= 0 || burst <= 0 {
		panic(fmt.Sprintf("ape: RateLimit(%v, %d): both numbers must be above zero", perSecond, burst))
	}
	var (
		mu       sync.Mutex
		limiters = map[*peer]*rate.Limiter{}
	)
	limiter := func(p *peer) *rate.Limiter {
		mu.Lock()
		defer mu.Unlock()
		l := limiters[p]
		if l == nil {
			l = rate.NewLimiter(rate.Limit(perSecond), burst)
			limiters[p] = l
			context.AfterFunc(p.ctx, func() {
				mu.Lock()
				defer mu.Unlock()
				delete(limiters, p)
			})
		}
		return l
	}
	return func(next Controller) Controller {
		return ControllerFunc(func(ctx context.Context, c *Call) (any, error) {
			if err := overRate(limiter(c.peer)); err != nil {
				return nil, err
			}
			return next.Serve(ctx, c)
		})
	}
}
