// Package ape adds real-time RPC to a Go HTTP server that already exists.
//
// One [Server] is one [http.Handler]. Mounted once, it gives a program
// controllers (plain Go funcs registered by path) that browsers call as
// api.users.list({limit: 3}), calls in the other direction, streams in both,
// pushes and broadcasts, channels that clients subscribe to, and an HTTP
// streaming fallback where WebSocket is blocked. It owns no listener and starts
// no goroutine before the first client. [Dial] makes a Go program a client.
//
//	app := ape.New(nil)
//	app.Handle("hello", ape.Func(func(ctx context.Context, name string) (string, error) {
//		return "Hello, " + name + "!", nil
//	}))
//	app.Handle("chat/send", ape.Do(func(ctx context.Context, text string) error {
//		return app.Broadcast("chat/message", text)
//	}))
//	http.Handle("/api/", app)
//	http.ListenAndServe(":8080", nil)
//
// In the page, <script src="/api/ape.js"></script> gives window.api:
//
//	await api.hello("Ann")                     // "Hello, Ann!"
//	api.on("chat/message", text => show(text))
//	api.news.sport(item => show(item))         // subscribes to the channel news/sport
//	api.$.handle("confirm", q => confirm(q))   // what the server may call
//
// # Calls in the other direction
//
// [Invoke] calls what a client handles, from a controller or from anywhere else,
// and what a server has registered from a Go client:
//
//	ok, err := ape.Invoke[bool](ctx, ape.From(ctx).Client(), "confirm", "Delete it?")
//
//	conn, err := ape.Dial(ctx, "https://example.org/api/ape", nil)
//	text, err := ape.Invoke[string](ctx, conn, "hello", "Ann")
//
// It waits for the answer, at most for its time (see [Timeout]); a client that
// has lost its connection is waited for within that time. With [Key] a call to a
// server that is sent again does not run again.
//
// # Streams
//
// [Stream], [Collect] and [Duplex] make controllers of funcs that return or take
// an iter.Seq2. Clients read with `for await`, and Go with [InvokeStream]; both
// send by giving an iterator as the input. Only so many items are on the way as
// the reader has asked for (Options.StreamWindow), so a slow reader makes yield
// wait, and leaving a loop ends the other side's. Streams have no time limit of
// their own.
//
// # Words
//
// A Server is one instance in a process. A [Client] is a connected peer as the
// server sees it, a [Conn] what a Go client has dialled. A path names a controller ("users/list"), an event names a
// push ("chat/message"), a channel is what clients subscribe to ("news/sport").
// The transport is websocket or streaming. The dialect is how messages look on
// the wire: ape.1 for ape's own clients, classic for the browsers of the npm
// package api-ape; both are served at the same URL, unasked.
//
// # Order and delivery
//
// To one client, everything goes out in the order in which it was sent: events,
// channel messages and answers alike. Calls of one client start in the order of
// arrival and run concurrently; [Serial] runs them one at a time. In ape.1 a
// lost connection loses nothing for [Options.ResumeWindow]: the client resumes
// its session, over either transport, and both sides send what the other has
// not had; calls and streams go on, in both directions. Where that cannot be
// kept the client is told of a gap, and what was unanswered fails with code
// lost. A classic session over WebSocket ends with its socket. docs/guarantees.md
// has all cases, with the tests that prove them.
//
// A push never waits for a client. What cannot be written is queued up to
// [Options.MaxQueue] bytes; a client further behind is closed as slow.
//
// # Concurrency
//
// Every method of Server, Client, Call and Conn may be called from any goroutine,
// but for a Server's registration methods (Handle, Register, Group, Use), which
// belong before the first request. Controllers run on goroutines of their own.
// Hooks never run on a connection's reader, nor under a lock. The funcs given to
// [On] are called one after the other.
//
// # Errors
//
// Only the text of an [*Error] reaches a client. Any other error, and a panic,
// is answered as code internal and logged with its cause.
package ape
