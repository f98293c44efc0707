// Package keys remembers the idempotency keys of one server. What an identity
// calls on a path under a key runs once while the key is remembered; whoever
// comes again meanwhile gets the answer that the first one got, and waits for
// it if need be.
//
//	entry, verdict, have, leave := table.Begin(user, path, key, later)
//	switch verdict {
//	case keys.Run:
//		defer entry.Forget() // of no effect behind Done
//		entry.Done(run(call))
//	case keys.Wait:
//		call.onCancel(leave)
//	case keys.Have:
//		call.answer(have)
//	case keys.Ran:
//		call.fail("too_large")
//	case keys.Full:
//		call.fail("busy")
//	}
//
// # What is promised
//
// A key that runs is never forgotten, and one that has run not before
// [Options.Window] has passed since its answer. So a table that is full can
// only refuse what is new, and does before it runs.
//
// Room is found before an answer is known. A key that runs takes
// [Options.Reserve] bytes for it, so that an answer up to this size is always
// kept. A longer one is kept if there is room when it comes. If there is none,
// those who wait get it, and who comes later is told [Ran]: the call still does
// not run twice, and no limit is ever exceeded.
//
// # Concurrency
//
// All methods may be called concurrently, and none waits. Begin, Forget and
// Done hold one lock, which nothing is called under, for a few map operations;
// there is no goroutine, only one timer while answers are remembered. Begin
// may be called under any lock. Done and Forget call the later functions of
// those who wait, so call them without the locks that these take. later may be
// called before Begin has returned.
package keys
