package main

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/goape/ape"
)

type tailInput struct {
	Symbol string `json:"symbol"`
	Run    int    `json:"run"` // the page's number for this stream
}

// trade is an item of trades/tail.
type trade struct {
	Number int       `json:"number"`
	Price  int64     `json:"price"`
	Amount int       `json:"amount"`
	At     time.Time `json:"at"`
}

// produced is the event trades/produced: how many trades a stream has produced,
// whether or not they have been sent.
type produced struct {
	Run   int  `json:"run"`
	Count int  `json:"count"`
	Over  bool `json:"over"`
}

// tail is trades/tail: trades of one share, for as long as the page reads them.
// It needs no care for slow pages: yield waits until the page has room for the
// trade, and returns false when it has left its loop, or is gone.
func (m *market) tail(ctx context.Context, in tailInput) iter.Seq2[trade, error] {
	return func(yield func(trade, error) bool) {
		m.tellStreams(1)
		defer m.tellStreams(-1)
		page := ape.From(ctx).Client()
		count := 0
		// Events know no backpressure, so the page learns how far we are even while
		// yield waits for it.
		defer func() { page.Send("trades/produced", produced{in.Run, count, true}) }()

		tick := time.NewTicker(m.pace.trades)
		defer tick.Stop()
		for {
			cents, err := m.now(in.Symbol)
			if err != nil {
				yield(trade{}, err)
				return
			}
			count++
			page.Send("trades/produced", produced{in.Run, count, false})
			if !yield(trade{count, cents + rand.Int64N(11) - 5, 1 + rand.IntN(200), time.Now()}, nil) {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// tellStreams publishes how many streams of trades are being produced.
func (m *market) tellStreams(more int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams += more
	m.app.Publish("trades/streams", m.streams)
}
