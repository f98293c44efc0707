package link

import "github.com/goape/ape/mesh"

// What the tests in package link_test see beside the front door.

// SendCounted is Send of a body that depends on the life that it is for.
func (l *Link) SendCounted(id string, op Op, body func(life uint64) []byte) (life uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.find(id)
	if err != nil {
		return 0, err
	}
	return p.life, l.sendTo(p, op, body(p.life))
}

// Key is the key in force.
func (l *Link) Key() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.key
}

// Acked says whether all members named are in sight and have acknowledged
// something that was sent to all.
func (l *Link) Acked(lives ...uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, life := range lives {
		if p := l.peers[life]; p == nil || p.state != alive || p.allAcked == 0 {
			return false
		}
	}
	return !l.detached
}

// TopHops is how often a message that arrived here was passed on at most.
func (l *Link) TopHops() int {
	l.routes.mu.Lock()
	defer l.routes.mu.Unlock()
	return int(l.routes.topHops)
}

// MostWaiting is how many messages wait for one client's way at most.
const MostWaiting = waitCount

// AbsentKept is for how long it is remembered that nobody has a client.
const AbsentKept = absentKept

// Seal makes a packet of one part under a key.
func Seal(key []byte, namespace, id string, epoch uint64, number uint64, kind byte, body []byte) []byte {
	b := header{flags: flagAll, epoch: epoch, id: []byte(id), first: number}.append(nil)
	b = appendPart(b, kind, body)
	newSealer(key, namespace).seal(b)
	return b
}

// LastTerm makes the next lapse the one after the last term.
func (l *Link) LastTerm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.self.Epoch |= 1<<16 - 1
}

// SendToLater is SendTo, but does not wait: done is called when the way is known.
func (l *Link) SendToLater(client string, body []byte, done func(error)) {
	m := &routed{client: client, body: body, then: done}
	if l.here(client, l.Self, body) {
		done(nil)
		return
	}
	l.routes.mu.Lock()
	defer l.routes.mu.Unlock()
	l.route(m)
}

// Rows is the backend's table.
func (l *Link) Rows() mesh.Lookup { return l.mesh.Lookup() }
