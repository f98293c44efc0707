package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/goape/ape"
)

// pace is how fast things happen.
type pace struct {
	quotes time.Duration // between two changes of the prices
	trades time.Duration // between two trades of a stream, at least
}

// share is what can be bought.
type share struct {
	Symbol string `json:"symbol"`
	Name   string `json:"name"`
}

var shares = []share{{"ABC", "Alder Brick"}, {"FIG", "Figment"}, {"OAK", "Oak & Sons"}, {"ZEN", "Zenith"}}

// price is the last value of ticker/ and a symbol. All amounts are in cents.
type price struct {
	Symbol string    `json:"symbol"`
	Price  int64     `json:"price"`
	Change int64     `json:"change"` // since the market has opened
	At     time.Time `json:"at"`
}

// market is everything that pages share.
type market struct {
	app  *ape.Server
	pace pace

	mu      sync.Mutex
	opening map[string]int64
	prices  map[string]int64
	streams int // trades/tail, running now
	orders  int // so far
}

func newMarket(p pace) *market {
	m := &market{pace: p, opening: map[string]int64{}, prices: map[string]int64{}}
	m.app = ape.New(&ape.Options{
		MaxMessage:  16 << 10,
		DrainWindow: 500 * time.Millisecond,
		Timeout:     confirmWithin, // of the calls of pages
	})
	m.app.Handle("shares", ape.Get(func(context.Context) ([]share, error) { return shares, nil }))
	m.app.Handle("trades/tail", ape.Stream(m.tail))
	m.app.Handle("orders/place", ape.Func(m.place))
	m.tellStreams(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, s := range shares {
		m.opening[s.Symbol] = 5_000 + int64(i)*3_500
		m.set(s.Symbol, m.opening[s.Symbol])
	}
	return m
}

// quote moves the prices until ctx ends.
func (m *market) quote(ctx context.Context) {
	tick := time.NewTicker(m.pace.quotes)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.change()
		case <-ctx.Done():
			return
		}
	}
}

// change moves half of the prices by up to half a percent.
func (m *market) change() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range shares {
		if old := m.prices[s.Symbol]; rand.IntN(2) == 0 {
			m.set(s.Symbol, max(100, old+rand.Int64N(old/100+1)-old/200))
		}
	}
}

// set publishes a price. mu is held, so that the newest is the last.
func (m *market) set(symbol string, now int64) {
	m.prices[symbol] = now
	m.app.Publish("ticker/"+symbol, price{symbol, now, now - m.opening[symbol], time.Now()})
}

// now is a share's price.
func (m *market) now(symbol string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	cents, ok := m.prices[symbol]
	if !ok {
		return 0, ape.Errorf(ape.NotFound, "there is no share %q", symbol)
	}
	return cents, nil
}
