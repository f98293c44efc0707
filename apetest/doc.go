// Package apetest tests programs that use ape: it serves an app over a network
// inside the process, which the test can break.
//
// In a bubble of testing/synctest time is fake, so that heartbeats, timeouts and
// the way back after a lost connection take no time:
//
//	func TestHello(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			app := ape.New(nil)
//			app.Handle("hello", ape.Func(func(_ context.Context, name string) (string, error) {
//				return "Hello, " + name + "!", nil
//			}))
//			server := apetest.New(t, app)
//			conn := server.Dial(t, nil)
//
//			server.Cut() // the call goes over the next connection, and nobody notices
//			got, err := ape.Invoke[string](t.Context(), conn, "hello", "Ann")
//			if got != "Hello, Ann!" || err != nil {
//				t.Errorf("got %q, %v", got, err)
//			}
//		})
//	}
//
// Outside a bubble everything works as well, in real time. Everything ends with
// the test; in a bubble, pass the bubble's t.
//
// # Faults
//
// [Server.Cut] and [Server.Drop] break the connections that there are, with the
// ends knowing it or not. [Server.Refuse] keeps new ones away. [Server.CutAfter],
// [Server.Delay] and [Server.Limit] hold for all, until they are taken back.
// The network does nothing at random. A Conn of ape does: it waits for a random
// time between attempts to connect, after many failures for up to 15 s. A call
// that is to outlive that needs an ape.Timeout above the default of 10 s.
//
// A Server is one network. To break the connections of one client only, serve
// the same app with a Server for each of them.
//
// # Concurrency
//
// All methods may be called from any goroutine of the bubble, or from any
// goroutine when there is none.
package apetest
