package mesh_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/goape/ape/mesh"
)

// Two members over a store in memory, as a backend's user sees them.
func ExampleMemory() {
	ctx := context.Background()
	store := mesh.NewMemory(nil)
	a, b := store.Mesh("shop"), store.Mesh("shop")

	inbox, err := b.Channels().Pull(ctx, "b")
	if err != nil {
		log.Fatal(err)
	}
	defer inbox.Close()
	for id, m := range map[string]mesh.Mesh{"a": a, "b": b} {
		if _, err := m.Join(ctx, mesh.Member{ID: id, Epoch: 1 << 16}, 15*time.Second, []byte("a key")); err != nil {
			log.Fatal(err)
		}
	}
	members, _ := a.Members(ctx)
	fmt.Println(len(members), "members")

	if err := b.Lookup().Add(ctx, mesh.Claim{Client: "ann", Gen: 1}); err != nil {
		log.Fatal(err)
	}
	owners, _ := a.Lookup().Read(ctx, "ann")
	fmt.Println("ann is at", owners[0].ID)

	if err := a.Channels().Push(ctx, mesh.Frame{To: owners[0].ID, Body: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
	body, err := inbox.Receive(ctx)
	fmt.Println(string(body), err)
	// Output:
	// 2 members
	// ann is at b
	// hello <nil>
}
