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
		limiters = map[*session]*rate.Limiter{}
	)
	limiter := func(s *session) *rate.Limiter {
		mu.Lock()
		defer mu.Unlock()
		l := limiters[s]
		if l == nil {
			l = rate.NewLimiter(rate.Limit(perSecond), burst)
			limiters[s] = l
			context.AfterFunc(s.ctx, func() {
				mu.Lock()
				defer mu.Unlock()
				delete(limiters, s)
			})
		}
		return l
	}
	return func(next Controller) Controller {
		return ControllerFunc(func(ctx context.Context, c *Call) (any, error) {
			if err := overRate(limiter(c.session)); err != nil {
				return nil, err
			}
			return next.Serve(ctx, c)
		})
	}
}
