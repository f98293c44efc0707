package meshtest

import (
	"math/rand/v2"
	"sync"

	"github.com/goape/ape/mesh"
)

var lookupRules = []rule{
	{name: "01 add, then read", says: "What Add claims, Read returns to everybody: the member's ID, its epoch, the Gen.", check: addRead},
	{name: "02 add twice is once", says: "Add is idempotent: one Remove takes back what was added twice.", check: addTwice},
	{name: "03 later add of equal Gen wins", says: "Of two claims with the same Gen, the later one stands.", check: addEqual},
	{name: "04 lower Gen changes nothing", says: "A claim is kept only where no claim of higher Gen stands, whoever comes first; that is decided in the store.", check: addLower},
	{name: "05 remove only what is one's own", says: "Remove takes rows of the own life only, of whatever term.", check: removeOwn},
	{name: "06 remove with an older Gen", says: "Remove takes rows with the Gen of the claim or a lower one, and leaves newer ones.", check: removeOlder},
}

func addRead(s *site) {
	a, b := s.join("a"), s.join("b")
	a.add("client", 1)
	a.owns("client", 1)
	s.owner(b, "client", mesh.Owner{ID: "a", Epoch: a.self.Epoch, Gen: 1})

	a.add("client", 1<<53-1)
	a.owns("client", 1<<53-1)

	// Under a later term, rows are written with its epoch.
	s.must(a.rejoin(a.self.Epoch+1, lease), "Join with the next term")
	a.add("other", 7)
	a.owns("other", 7)
}

func addTwice(s *site) {
	a := s.join("a")
	one := mesh.Claim{Client: "client", Gen: 3}
	s.must(a.Lookup().Add(s.ctx, one, one), "Add of the same claim twice")
	a.add("client", 3)
	a.owns("client", 3)
	a.remove("client", 3)
	s.owner(a, "client", mesh.Owner{})
	a.remove("client", 3)
	s.must(a.Lookup().Add(s.ctx), "Add of nothing")
	s.must(a.Lookup().Remove(s.ctx), "Remove of nothing")
}

func addEqual(s *site) {
	a, b := s.join("a"), s.join("b")
	a.add("client", 2)
	b.add("client", 2)
	b.owns("client", 2)
	a.add("client", 2)
	a.owns("client", 2)
}

func addLower(s *site) {
	a, b := s.join("a"), s.join("b")
	b.add("client", 2)
	// The losing claim is no error, and keeps no other from being written.
	claims := []mesh.Claim{{Client: "first", Gen: 1}, {Client: "client", Gen: 1}, {Client: "last", Gen: 1}}
	s.must(a.Lookup().Add(s.ctx, claims...), "Add")
	b.owns("client", 2)
	a.owns("first", 1)
	a.owns("last", 1)

	// 9 and 10 compare as numbers.
	b.add("number", 10)
	a.add("number", 9)
	b.owns("number", 10)
	addRace(s)
}

// addRace lets members claim clients at the same time: the highest Gen stands.
func addRace(s *site) {
	const members, clients, gens = 4, 20, 24
	all := make([]*member, members)
	for i := range all {
		all[i] = s.join("racer-" + string(rune('a'+i)))
	}
	for c := range clients {
		client := "raced-" + string(rune('a'+c))
		var wg sync.WaitGroup
		errs := make([]error, members)
		for i, m := range all {
			order := rand.Perm(gens)
			wg.Go(func() {
				for _, gen := range order {
					if gen%members == i && errs[i] == nil {
						errs[i] = m.Lookup().Add(s.ctx, mesh.Claim{Client: client, Gen: uint64(gen) + 1})
					}
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			s.must(err, "Add")
		}
		all[(gens-1)%members].owns(client, gens)
	}
}

func removeOwn(s *site) {
	a, b := s.join("a"), s.join("b")
	a.add("client", 1)
	b.remove("client", 5)
	a.owns("client", 1)

	// A row that another member took over is not one's own any more.
	b.add("client", 1)
	a.remove("client", 1)
	b.owns("client", 1)

	// Another life of the same ID is another member.
	a.add("older", 1)
	again := s.join("a")
	again.remove("older", 1)
	a.owns("older", 1)

	// A later term is not.
	again.add("own", 1)
	s.must(again.rejoin(again.self.Epoch+1, lease), "Join with the next term")
	again.remove("own", 1)
	s.owner(again, "own", mesh.Owner{})
}

func removeOlder(s *site) {
	a := s.join("a")
	a.add("client", 10)
	a.remove("client", 9)
	a.owns("client", 10)
	a.remove("client", 10)
	s.owner(a, "client", mesh.Owner{})

	a.add("client", 9)
	a.remove("client", 10)
	s.owner(a, "client", mesh.Owner{})
}
