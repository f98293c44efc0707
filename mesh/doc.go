// Package mesh is what several servers need of the store they share to be one:
// a record for each, with a lease; rows that say which client is where; frames
// from one to another. ape does everything else on top of that. Most programs
// meet this package in an import line only, that of the backend for their store.
//
// It stands here ahead of its use: a Server cannot join a mesh yet, so JoinVia,
// which this page names, does not exist in this version.
//
// [Memory] is a store inside the process: for tests, for demos, and as the
// example of a backend.
//
// # Words
//
// A member is one server in the mesh. Its life is one stay of a process there,
// its term counts how often that life had to join again; together they are its
// epoch. A frame is what a backend carries. A claim says which client is with
// which member.
//
// # Writing a backend
//
// Implement [Mesh] with its [Lookup], [Channels] and [Inbox], and run the suite
// of package meshtest against it: each rule below is a case there.
//
// Frames. A backend may lose frames around a lost connection; its Inbox then
// says so with [ErrInterrupted], or fails, before the next frame. Around that it
// may also repeat and reorder. Otherwise what one member pushes to one target
// arrives once and in order. Frames are never changed, cut or joined, never
// reach another namespace, and a target that does not read keeps none of the
// others waiting for longer than one Push. Nothing may be kept for a target that
// nobody listens at: if the store can tell, Push returns an [*UnheardError].
// Nothing stronger is needed. Order, repetition and repair are ape's.
//
// Leases. They are measured by the store's clock only, because those of the
// members differ. A record that lapsed is neither seen nor renewed.
//
// Rows. Conditions are decided in the store, in one step each: between reading
// a row and writing it there is always somebody else.
//
// Names. The Check functions know the rules. A constructor never fails: Join
// and Pull return what is wrong.
//
// Ends. After Inbox.Close and Leave no goroutine, subscription, row or
// connection is left. The key stays. The client that the user gave in is his: it
// is never closed.
//
// Errors. [ErrLapsed], [ErrSuperseded], [ErrInterrupted], [ErrTooLarge] and
// [*UnheardError] may come wrapped. Every other error means that something went
// wrong on the way, and that it may be tried again. A call ends soon after its
// context does.
//
// A backend calls [Register] in its init, so that programs can pass their
// client to JoinVia:
//
//	func init() {
//		mesh.Register("redis", func(c *redis.Client, namespace string) (mesh.Mesh, error) {
//			return New(c, &Options{Namespace: namespace}), nil
//		})
//	}
//
// # Concurrency
//
// A Mesh, its Lookup and its Channels may be used by any number of goroutines,
// except that one Push runs at a time. An Inbox is read by one goroutine.
package mesh
