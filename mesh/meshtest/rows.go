package meshtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goape/ape/mesh"
)

var rowRules = []rule{
	{name: "07 thousand at once", says: "Add, Read and Remove take a thousand clients in one call, in few round trips and in the order given.", check: thousand},
	{name: "08 odd clients", says: "Clients may have any name of 1 to 256 bytes of UTF-8 without zero bytes; no two are taken for each other.", check: oddClients},
	{name: "09 absent clients", says: "Read returns one Owner for each client asked for, the zero Owner where there is no row.", check: absent},
	{name: "10 rows of the dead", says: "Rows of the dead are reclaimed by Sweep, or expire by themselves; those of the living stay.", check: reclaim},
}

// fewTrips is how many round trips a call with a thousand rows may take.
const fewTrips = 20

func thousand(s *site) {
	a, b := s.join("a"), s.join("b")
	var claims []mesh.Claim
	var clients []string
	for i := range 1000 {
		claims = append(claims, mesh.Claim{Client: fmt.Sprint("client-", i), Gen: uint64(i) + 1})
		clients = append(clients, claims[i].Client)
	}
	counted := func(what string, call func() error) {
		s.Helper()
		before := 0
		if s.Trips != nil {
			before = s.Trips()
		}
		s.must(call(), what)
		if s.Trips == nil {
			return
		}
		if n := s.Trips() - before; n > fewTrips {
			s.Fatalf("%s of 1000 rows took %d round trips, want at most %d", what, n, fewTrips)
		}
	}
	read := func(want func(i int) mesh.Owner) {
		s.Helper()
		counted("Read", func() error {
			got, err := b.Lookup().Read(s.ctx, clients...)
			for i := range got {
				if len(got) != len(clients) || got[i] != want(i) {
					return fmt.Errorf("%d rows, the one at %d is %+v, want %d and %+v", len(got), i, got[i], len(clients), want(i))
				}
			}
			if err == nil && len(got) == 0 {
				return fmt.Errorf("nothing, want %d rows", len(clients))
			}
			return err
		})
	}
	counted("Add", func() error { return a.Lookup().Add(s.ctx, claims...) })
	read(func(i int) mesh.Owner { return mesh.Owner{ID: "a", Epoch: a.self.Epoch, Gen: uint64(i) + 1} })
	counted("Remove", func() error { return a.Lookup().Remove(s.ctx, claims...) })
	read(func(int) mesh.Owner { return mesh.Owner{} })
}

func oddClients(s *site) {
	a := s.join("a")
	odd := []string{
		" ", "a b", " a", "a ", "\t\n\r", "'", `"`, "`", `\`, "''; drop table clients; --", "a.b", "a/b", "/", "..", "a:b", ":", "{a}", "{a}b", "}{",
		"[x]", "*", "?", "a*", "$", "$1", "%", "%s", "#", "&=", "+", ",", "a|b", "-", "_", "0", "00", "1e3", "null", "true", "ID", "id",
		"ä", "a\u0308", "日本", "🐵", "\u202e", "\ufeff", "\x7f", "\x01",
		strings.Repeat("x", 256), strings.Repeat("x", 255) + "y", strings.Repeat("🐵", 64), strings.Repeat("/", 256), strings.Repeat(".", 256),
		"client-" + a.self.ID, "key", "members", "all", s.namespace + ":key",
	}
	var claims []mesh.Claim
	for i, client := range odd {
		claims = append(claims, mesh.Claim{Client: client, Gen: uint64(i) + 1})
	}
	s.must(a.Lookup().Add(s.ctx, claims...), "Add")
	got, err := a.Lookup().Read(s.ctx, odd...)
	s.must(err, "Read")
	for i, client := range odd {
		if want := (mesh.Owner{ID: "a", Epoch: a.self.Epoch, Gen: uint64(i) + 1}); len(got) != len(odd) || got[i] != want {
			s.Fatalf("Read of client %q: got %+v, want %+v", client, got[min(i, len(got)-1)], want)
		}
	}
	for i, client := range odd {
		a.remove(client, uint64(i)+1)
		s.owner(a, client, mesh.Owner{})
		if i+1 < len(odd) {
			a.owns(odd[i+1], uint64(i)+2)
		}
	}
}

func absent(s *site) {
	a := s.join("a")
	s.owner(a, "nobody", mesh.Owner{})
	a.add("here", 1)
	here := mesh.Owner{ID: "a", Epoch: a.self.Epoch, Gen: 1}
	got, err := a.Lookup().Read(s.ctx, "x", "here", "y", "here", "x")
	s.must(err, "Read")
	if want := []mesh.Owner{{}, here, {}, here, {}}; !slices.Equal(got, want) {
		s.Fatalf("Read of x, here, y, here, x: got %+v, want %+v", got, want)
	}
	got, err = a.Lookup().Read(s.ctx)
	s.must(err, "Read of nothing")
	if len(got) != 0 {
		s.Fatalf("Read of nothing: got %+v", got)
	}
}

func reclaim(s *site) {
	living, ttl := s.join("living"), s.Mesh(s.namespace, "x").Channels().Traits().RowTTL
	dead := s.joinAs("dead", newLife()<<16, time.Second)
	dead.add("lost", 1)
	living.add("held", 1)
	if ttl > 0 {
		if s.Advance == nil {
			s.Skip("rows expire by themselves, and this Cluster has no Advance")
		}
		s.Advance(ttl / 2)
		living.add("held", 1)
		s.Advance(ttl/2 + 2*time.Second)
		s.owner(living, "lost", mesh.Owner{})
		living.owns("held", 1)
		s.must(living.rejoin(living.self.Epoch, lease), "Join again") // its lease may be over, too
		_, err := living.Lookup().Sweep(s.ctx)
		s.must(err, "Sweep")
		living.owns("held", 1)
		return
	}
	// Rows of a life that went on under a new term are not lost.
	s.must(living.rejoin(living.self.Epoch+1, lease), "Join with the next term")
	held := mesh.Owner{ID: "living", Epoch: living.self.Epoch - 1, Gen: 1}
	// Those of an earlier life are.
	old := s.join("again")
	old.add("former", 1)
	again := s.join("again")
	again.add("present", 1)

	n, err := living.Lookup().Sweep(s.ctx)
	s.must(err, "Sweep")
	s.eventually("the row of a member whose lease has lapsed is swept", func() bool {
		more, err := living.Lookup().Sweep(s.ctx)
		s.must(err, "Sweep")
		n += more
		got, err := living.Lookup().Read(s.ctx, "lost")
		s.must(err, "Read")
		return got[0] == mesh.Owner{}
	})
	s.owner(living, "held", held)
	s.owner(living, "former", mesh.Owner{})
	again.owns("present", 1)
	if n != 2 {
		s.Fatalf("Sweep of 2 rows returned %d", n)
	}
}
