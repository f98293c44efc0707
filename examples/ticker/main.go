// Command ticker is a market of four invented shares: prices as a channel with a
// last value, trades as a stream that is produced no faster than the page reads,
// and orders that the server asks the page to confirm. Everything is random, and
// kept in memory.
//
//	go run ./examples/ticker
//
// The market is in market.go, trades.go and orders.go, the page in page.html,
// ticker.css and ticker.js.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	var p pace
	flag.DurationVar(&p.quotes, "quotes", 400*time.Millisecond, "time between two changes of the prices")
	flag.DurationVar(&p.trades, "trades", 40*time.Millisecond, "least time between two trades of a stream")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, *addr, p, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ticker:", err)
		os.Exit(1)
	}
}

// run serves the market until ctx ends, and tells out where it is.
func run(ctx context.Context, addr string, p pace, out io.Writer) error {
	if p.quotes <= 0 || p.trades <= 0 {
		return errors.New("both times must be above zero")
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	m := newMarket(p)
	var trading sync.WaitGroup
	defer trading.Wait()
	open, stop := context.WithCancel(ctx)
	defer stop()
	trading.Go(func() { m.quote(open) })

	server := &http.Server{Handler: m.handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "ticker: http://%s\n", listener.Addr())

	var failed error
	select {
	case failed = <-served:
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(failed, m.app.Shutdown(end), server.Shutdown(end))
}

//go:embed page.html ticker.css ticker.js
var files embed.FS

// handler serves the page, and ape below /api/.
func (m *market) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", m.app)
	for path, name := range map[string]string{"/{$}": "page.html", "/ticker.css": "ticker.css", "/ticker.js": "ticker.js"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Security-Policy", "default-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, files, name)
		})
	}
	return mux
}
