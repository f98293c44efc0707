package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goape/ape"
)

// never is longer than any test.
const never = time.Hour

// start runs the program on a free port and returns its address. Its end is
// part of the test.
func start(t *testing.T, p pace) (host string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", p, w) }()
	first, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, host, ok := strings.Cut(strings.TrimSpace(first), "ticker: http://")
	if !ok {
		t.Fatalf("printed %q, want the address", first)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error("run:", err)
		}
	})
	return host
}

// visit connects as a page does. The context is a guard.
func visit(t *testing.T, host string, o *ape.DialOptions) (context.Context, *ape.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	conn, err := ape.Dial(ctx, "http://"+host+"/api/ape", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return ctx, conn
}

func TestNewcomersGetTheLastPrice(t *testing.T) {
	host := start(t, pace{quotes: never, trades: never})
	ctx, conn := visit(t, host, nil)
	list, err := ape.Invoke[[]share](ctx, conn, "shares", nil)
	if err != nil || len(list) < 2 {
		t.Fatal(list, err)
	}
	for _, s := range list {
		for p, err := range ape.Subscribe[price](ctx, conn, "ticker/"+s.Symbol) {
			if err != nil || p.Symbol != s.Symbol || p.Price < 100 || p.At.IsZero() {
				t.Errorf("%s costs %+v, %v", s.Symbol, p, err)
			}
			break
		}
	}
}

func TestPricesChange(t *testing.T) {
	host := start(t, pace{quotes: time.Millisecond, trades: never})
	ctx, conn := visit(t, host, nil)
	var first int64
	for p, err := range ape.Subscribe[price](ctx, conn, "ticker/ABC") {
		if err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = p.Price
		} else if p.Price != first {
			return
		}
	}
}

// The window of a Conn is 64 items, so the producer is at most that far ahead,
// and one trade more, which waits.
func TestSlowReaderBoundsTheProducer(t *testing.T) {
	const window = 64
	host := start(t, pace{quotes: never, trades: time.Nanosecond})
	ctx, conn := visit(t, host, nil)
	counts := make(chan produced, 10*window)
	ape.On(conn, "trades/produced", func(p produced) { counts <- p })
	next := func() produced {
		select {
		case p := <-counts:
			return p
		case <-ctx.Done():
			t.Fatal("waited in vain for the producer")
			panic("not reached")
		}
	}
	read := 0
	for item, err := range ape.InvokeStream[trade](ctx, conn, "trades/tail", tailInput{"ABC", 7}) {
		if err != nil {
			t.Fatal(err)
		}
		if read++; item.Number != read {
			t.Fatalf("trade %d is number %d", read, item.Number)
		}
		if read%window == 0 {
			// Time for whoever is not bounded to run ahead.
			for range 20 {
				if _, err := ape.Invoke[any](ctx, conn, "shares", nil); err != nil {
					t.Fatal(err)
				}
			}
			for len(counts) > 0 {
				if p := next(); p.Run != 7 || p.Over || p.Count > read+window+1 {
					t.Fatalf("%d trades are read, the producer says %+v", read, p)
				}
			}
		}
		if read == 5*window {
			break
		}
	}
	// Leaving the loop has stopped it.
	for {
		if p := next(); p.Over {
			if p.Count < read || p.Count > read+window+1 {
				t.Errorf("%d trades are read, the producer stopped after %d", read, p.Count)
			}
			break
		}
	}
	for n, err := range ape.Subscribe[int](ctx, conn, "trades/streams") {
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func TestProducerStopsWhenThePageIsGone(t *testing.T) {
	host := start(t, pace{quotes: never, trades: time.Millisecond})
	ctx, conn := visit(t, host, nil)
	_, watcher := visit(t, host, nil)
	for _, err := range ape.InvokeStream[trade](ctx, conn, "trades/tail", tailInput{"ZEN", 1}) {
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		break
	}
	for n, err := range ape.Subscribe[int](ctx, watcher, "trades/streams") {
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func TestOrdersAreConfirmed(t *testing.T) {
	host := start(t, pace{quotes: never, trades: never})
	var asked question
	answer := true
	ctx, conn := visit(t, host, &ape.DialOptions{Handlers: map[string]ape.Controller{
		"confirm": ape.Func(func(_ context.Context, q question) (bool, error) {
			asked = q
			return answer, nil
		}),
	}})
	in := placeInput{"buy", "FIG", 3}
	o, err := ape.Invoke[order](ctx, conn, "orders/place", in)
	if err != nil || o.Number != 1 || o.placeInput != in || o.Total != 3*o.Price {
		t.Errorf("bought %+v, %v", o, err)
	}
	if asked.placeInput != in || asked.Price != o.Price || asked.Total != o.Total || asked.Within <= 0 {
		t.Errorf("asked %+v", asked)
	}
	answer = false
	if o, err := ape.Invoke[order](ctx, conn, "orders/place", in); err != nil || o.Number != 0 {
		t.Errorf("without a yes: %+v, %v", o, err)
	}
	_, mute := visit(t, host, nil)
	if _, err := ape.Invoke[order](ctx, mute, "orders/place", in); ape.CodeOf(err) != ape.NotFound {
		t.Errorf("without a handler: %v, want not_found", err)
	}
}

func TestRefused(t *testing.T) {
	host := start(t, pace{quotes: never, trades: never})
	ctx, conn := visit(t, host, nil)
	for code, in := range map[ape.Code][]placeInput{
		ape.Invalid:  {{"hold", "ABC", 1}, {"buy", "ABC", 0}, {"sell", "ABC", maxQuantity + 1}},
		ape.NotFound: {{"buy", "NONE", 1}},
	} {
		for _, in := range in {
			if _, err := ape.Invoke[order](ctx, conn, "orders/place", in); ape.CodeOf(err) != code {
				t.Errorf("%v: %v, want %s", in, err, code)
			}
		}
	}
	for _, err := range ape.InvokeStream[trade](ctx, conn, "trades/tail", tailInput{"NONE", 1}) {
		if ape.CodeOf(err) != ape.NotFound {
			t.Errorf("trades of an unknown share: %v", err)
		}
	}
	if err := run(ctx, "127.0.0.1:0", pace{}, io.Discard); err == nil {
		t.Error("runs at no pace")
	}
}

func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	host := start(t, pace{quotes: never, trades: never})
	for path, want := range map[string]string{"/": "text/html", "/ticker.css": "text/css", "/ticker.js": "text/javascript", "/api/ape.js": "text/javascript"} {
		res, err := http.Get("http://" + host + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), want) {
			t.Errorf("%s: %d %s %v", path, res.StatusCode, res.Header.Get("Content-Type"), err)
		}
		if path == "/api/ape.js" {
			continue
		}
		if !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s has no Content-Security-Policy", path)
		}
		if found := regexp.MustCompile(`(?:src|href|url|import|@import)\s*[=(]?\s*["']?(?:https?:)?//|innerHTML|insertAdjacentHTML|outerHTML|document\.write`).Find(body); found != nil {
			t.Errorf("%s holds %q", path, found)
		}
	}
}
