package main

import (
	"context"
	"time"

	"github.com/goape/ape"
)

const (
	maxQuantity = 10_000
	// confirmWithin is how long the server waits for somebody to press a button.
	confirmWithin = 30 * time.Second
)

type placeInput struct {
	Side     string `json:"side"` // buy or sell
	Symbol   string `json:"symbol"`
	Quantity int    `json:"quantity"`
}

// question is what a page is asked by confirm, which answers with a bool.
type question struct {
	placeInput
	Price  int64 `json:"price"`
	Total  int64 `json:"total"`
	Within int64 `json:"within"` // milliseconds to answer
}

// order is what orders/place returns.
type order struct {
	placeInput
	Number int       `json:"number"` // 0: not confirmed
	Price  int64     `json:"price"`
	Total  int64     `json:"total"`
	At     time.Time `json:"at"`
}

// place is orders/place. Before the order is carried out, at the price of now,
// the server asks the page to confirm it.
func (m *market) place(ctx context.Context, in placeInput) (*order, error) {
	if in.Side != "buy" && in.Side != "sell" {
		return nil, ape.Errorf(ape.Invalid, "the side is buy or sell")
	}
	if in.Quantity < 1 || in.Quantity > maxQuantity {
		return nil, ape.Errorf(ape.Invalid, "an order is for 1 to %d shares", maxQuantity)
	}
	cents, err := m.now(in.Symbol)
	if err != nil {
		return nil, err
	}
	total := cents * int64(in.Quantity)
	page := ape.From(ctx).Client()
	yes, err := ape.Invoke[bool](ctx, page, "confirm", question{in, cents, total, confirmWithin.Milliseconds()})
	switch {
	case ape.CodeOf(err) == ape.Deadline:
		return nil, ape.Errorf(ape.Failed, "the order was not confirmed in time")
	case err != nil:
		return nil, err
	}
	o := &order{placeInput: in, Price: cents, Total: total, At: time.Now()}
	if !yes {
		return o, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.orders++
	o.Number = m.orders
	return o, nil
}
