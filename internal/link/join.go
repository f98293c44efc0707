package link

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	mrand "math/rand/v2"
	"time"

	"github.com/goape/ape/mesh"
)

const (
	minKey      = 16
	minFrame    = 4 << 10
	probeTries  = 4
	probeWait   = 500 * time.Millisecond
	durableHole = 2 * time.Second
	goodbyeTime = 2 * time.Second
)

// Join makes this server a member. It listens first, then proves to itself that
// what it pushes comes back, and only then writes its record: a Join that fails
// at what comes before leaves nothing in the store. It returns when every member
// in sight has said where its sequences start, or [Timing.Meet] is over.
func Join(ctx context.Context, m mesh.Mesh, o Options) (*Link, error) {
	l := newLink(m, o)
	if err := l.prepare(o); err != nil {
		l.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.timing.Join)
	defer cancel()
	if err := l.enter(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("link: join: %w", err)
	}
	return l, nil
}

// prepare checks what was given and what the backend is like.
func (l *Link) prepare(o Options) error {
	if err := mesh.CheckMember(l.self); err != nil {
		return err
	}
	if l.given && len(o.Key) < minKey {
		return fmt.Errorf("link: a mesh key of %d bytes: use at least %d random ones", len(o.Key), minKey)
	}
	l.carrier = l.mesh.Channels()
	l.traits = l.carrier.Traits()
	if err := mesh.CheckNamespace(l.traits.Namespace); err != nil {
		return err
	}
	most := l.traits.MaxFrame
	if most < minFrame {
		return fmt.Errorf("link: the backend carries frames of %d bytes; at least %d are needed", most, minFrame)
	}
	l.limits.Packet = min(l.limits.Packet, most)
	l.fragment = min(l.limits.Fragment, most-headerRoom(o.ID)-partRoom)
	l.spans = min(maxSpans, (l.limits.Packet-headerRoom(o.ID)-partRoom)/(2*binary.MaxVarintLen64)-1)
	if l.traits.Durable {
		l.timing.Hole = max(l.timing.Hole, durableHole)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.useKey(l.key)
	l.opener.Load().early = !l.given
	return nil
}

// useKey puts a key in force for what is written and read from now on.
func (l *Link) useKey(key []byte) {
	l.key = key
	l.sealer = newSealer(key, l.traits.Namespace)
	l.opener.Store(&opener{sealer: newSealer(key, l.traits.Namespace)})
}

// proposal is the key that the store shall keep, if it has none.
func (l *Link) proposal() []byte {
	if l.given {
		return nil
	}
	return l.key
}

func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

// withWire adds the wire version to what other members see.
func withWire(meta map[string]string) map[string]string {
	m := maps.Clone(meta)
	if m == nil {
		m = map[string]string{}
	}
	m["wire"] = fmt.Sprint(wireVersion)
	return m
}

// enter does the steps of joining in their order.
func (l *Link) enter(ctx context.Context) error {
	inbox, err := l.carrier.Pull(ctx, l.self.ID)
	if err != nil {
		return l.explained("listen at the store", err)
	}
	l.wg.Go(func() { l.read(inbox) })
	for _, to := range []string{l.self.ID, mesh.All} {
		if err := l.selfTest(ctx, to); err != nil {
			return err
		}
	}
	if err = l.register(ctx); err == nil {
		err = l.meet(ctx)
	}
	if err != nil {
		l.Close() // first, for the keeper would register again
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTime)
		defer cancel()
		return errors.Join(err, l.mesh.Leave(ctx))
	}
	return nil
}

func (l *Link) register(ctx context.Context) error {
	key, err := l.mesh.Join(ctx, l.self, l.timing.Lease, l.proposal())
	if err != nil {
		return l.explained("register", err)
	}
	if len(key) == 0 && !l.given {
		return errNoKey
	}
	l.mu.Lock()
	if l.given {
		key = l.key
	}
	l.useKey(key)
	now := time.Now()
	l.sound = now.Add(-l.timing.Lease) // no grace: nothing has failed
	l.beatAt, l.refilled = now.Add(l.timing.Idle), now
	l.mu.Unlock()
	if err := l.refresh(ctx); err != nil {
		return l.explained("read the members", err)
	}
	return nil
}

// meet starts to work, and waits until every peer has said where it starts.
func (l *Link) meet(ctx context.Context) error {
	for _, run := range []func(){l.write, l.deliver, l.tick, l.keep, l.writeClaims, l.readRoutes} {
		l.wg.Go(run)
	}
	l.mu.Lock()
	l.beatNow(false)
	l.mu.Unlock()
	t := time.NewTimer(l.timing.Meet)
	defer t.Stop()
	select {
	case <-l.met:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.joined = true
	return nil
}

// selfTest pushes probes until one comes back. They are sealed under the key
// that will be proposed.
func (l *Link) selfTest(ctx context.Context, to string) error {
	nonce, heard := mrand.Uint64(), make(chan struct{})
	l.mu.Lock()
	l.probes[nonce] = heard
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.probes, nonce)
	}()
	head := header{epoch: l.self.Epoch, id: l.id}.append(nil)
	packet := appendPart(head, kindProbe, binary.BigEndian.AppendUint64(nil, nonce))
	newSealer(l.key, l.traits.Namespace).seal(packet)
	t := time.NewTimer(0)
	defer t.Stop()
	for range probeTries {
		err := l.carrier.Push(ctx, mesh.Frame{To: to, Body: packet})
		if _, unheard := errors.AsType[*mesh.UnheardError](err); err != nil && !unheard {
			return l.explained("push to the store", err)
		}
		t.Reset(probeWait)
		select {
		case <-heard:
			return nil
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	where := "its own channel"
	if to == mesh.All {
		where = "the channel of all"
	}
	return l.explained(fmt.Sprintf("self-test: what this server pushed to %s was not heard within %v", where, probeTries*probeWait), nil)
}

// explained adds what the backend knows of the cause.
func (l *Link) explained(what string, err error) error {
	because := ""
	if e, ok := l.mesh.(mesh.Explainer); ok {
		if s := e.Explain(err); s != "" {
			because = " (" + s + ")"
		}
	}
	if err == nil {
		return errors.New(what + because)
	}
	return fmt.Errorf("%s: %w%s", what, err, because)
}
