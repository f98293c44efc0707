// Package meshtest is the suite that every backend of package mesh passes. Each
// case states its rule in its name and in the first line that it logs.
//
//	func TestBackend(t *testing.T) {
//		meshtest.Run(t, func(t *testing.T) *meshtest.Cluster {
//			server := start(t) // ends with t
//			return &meshtest.Cluster{
//				Mesh: func(namespace, id string) mesh.Mesh { return New(server.Client(), &Options{Namespace: namespace}) },
//				Cut:  server.KillConnections,
//			}
//		})
//	}
//
// Every case gets a Cluster, and uses namespaces that no other case uses; so
// all may be over one server. The cases run one after the other. What a store
// does not allow, such as to be stopped by a test, is left nil: the cases that
// need it are skipped, and say so.
//
// The cases wait in real time, for at most a few seconds each. For a store that
// runs inside the process and needs no network, [RunInBubbles] does not wait.
//
// [Bench] measures what a backend costs.
package meshtest
