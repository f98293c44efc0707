package meshtest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/goape/ape/mesh"
)

// A Cluster is a store under test. Only Mesh is required.
type Cluster struct {
	// Mesh returns a new member's way to the store. The member will use this ID;
	// two may be made for one.
	Mesh func(namespace, id string) mesh.Mesh

	// Cut breaks the connections of all members, as a failing network does. The
	// store goes on, and lets them in again.
	Cut func()

	// Stop takes the store away, Start brings it back, with or without what it
	// held. Both are given or none.
	Stop, Start func()

	// Wipe empties the store.
	Wipe func()

	// Advance moves the store's clock forward and nobody else's. A store that keeps
	// leases as time that is left may shorten it instead.
	Advance func(d time.Duration)

	// Trips counts the round trips to the store so far, those of all members.
	Trips func() int

	// Left names what the store holds for a namespace, but for its key: records,
	// rows, frames, subscriptions, connections.
	Left func(namespace string) []string
}

// A rule is one case: what backends must do.
type rule struct {
	name  string // number and words, for -run
	says  string // the rule, a sentence
	needs []string
	check func(s *site)
}

// Run runs all cases, each as a subtest with a Cluster of its own. open may make
// them over one store that it keeps; what it starts for a case ends with its t.
func Run(t *testing.T, open func(t *testing.T) *Cluster) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) { r.run(t, open(t)) })
	}
}

// RunInBubbles is Run with each case in a bubble of testing/synctest, where
// waiting takes no time: for stores inside the process, without a network.
func RunInBubbles(t *testing.T, open func(t *testing.T) *Cluster) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { r.run(t, open(t)) })
		})
	}
}

// rules are all cases, in the order of their numbers.
func rules() []rule {
	var all []rule
	for _, area := range [][]rule{lookupRules, rowRules, leaseRules, recordRules, frameRules, crowdRules, faultRules, endRules} {
		all = append(all, area...)
	}
	return all
}

// run checks a rule, if the Cluster has what it needs.
func (r rule) run(t testing.TB, c *Cluster) {
	t.Helper()
	t.Log(r.says)
	has := map[string]bool{
		"Cut": c.Cut != nil, "Stop": c.Stop != nil && c.Start != nil, "Wipe": c.Wipe != nil,
		"Advance": c.Advance != nil, "Trips": c.Trips != nil, "Left": c.Left != nil,
	}
	for _, name := range r.needs {
		if !has[name] {
			t.Skipf("this Cluster has no %s", name)
		}
	}
	s := newSite(t, c)
	defer s.end()
	r.check(s)
}
