package ape

import (
	"context"
	"errors"
	"strings"

	"github.com/goape/ape/internal/transport"
)

// SendOption changes how a broadcast is sent.
type SendOption func(*sendOptions)

type sendOptions struct {
	except   map[string]bool
	volatile bool
}

// Volatile leaves out clients that would not get it soon: those without a
// connection, and those with more than 16 KiB waiting. It is for what the next
// one makes worthless, such as the place of a cursor.
func Volatile() SendOption { return func(o *sendOptions) { o.volatile = true } }

// to reports whether a client gets it.
func (o *sendOptions) to(x *session) bool {
	return !o.except[x.id] && (!o.volatile || x.keepsUp())
}

// Except leaves out the clients of these ids.
func Except(ids ...string) SendOption {
	return func(o *sendOptions) {
		if o.except == nil {
			o.except = make(map[string]bool, len(ids))
		}
		for _, id := range ids {
			o.except[id] = true
		}
	}
}

// Broadcast queues an event for every client of the server and waits for none.
// data is encoded once for each dialect, whatever the number of clients. It
// returns an error when data cannot be encoded or the event's name is no name;
// clients that cannot take it are closed as slow.
func (s *Server) Broadcast(event string, data any, opts ...SendOption) error {
	var o sendOptions
	for _, opt := range opts {
		opt(&o)
	}
	p, err := newPush(pushEvent, event, data)
	if err != nil {
		return err
	}
	if s.opt.OnSend != nil {
		for _, x := range s.sessions.all() {
			if o.to(x) {
				x.send(p)
			}
		}
		return nil
	}
	s.sessions.each(func(x *session) {
		if o.to(x) {
			x.push(p)
		}
	})
	s.trim()
	return nil
}

// To is the client of an id, as a target of Invoke, which looks for it at each
// call: it returns ErrNoTarget when there is none.
func (s *Server) To(clientID string) Target { return clientTarget{s, clientID} }

type clientTarget struct {
	server *Server
	id     string
}

func (t clientTarget) target() (*peer, error) {
	c := t.server.Client(t.id)
	if c == nil {
		return nil, ErrNoTarget
	}
	return c.target()
}

// BroadcastOthers is Broadcast to every client but one: the caller's id, most
// often.
func (s *Server) BroadcastOthers(clientID, event string, data any) error {
	return s.Broadcast(event, data, Except(clientID))
}

// Publish queues data for every subscriber of a channel and keeps it as the
// channel's last value, which new subscribers get first. All subscribers of a
// channel get its messages in the same order. A leading slash of the name is
// dropped. It returns an error when data cannot be encoded or the name is no
// name; Stats counts what a client cannot take.
func (s *Server) Publish(channel string, data any) error {
	p, err := newPush(pushMessage, channel, data)
	if err != nil {
		return err
	}
	afters := map[*session]func(error){}
	if hook := s.opt.OnSend; hook != nil {
		for _, x := range s.hub.subscribers(p.name) {
			if after := hook(&x.client, p.name, data); after != nil {
				afters[x] = after
			}
		}
	}
	missed := s.hub.publish(p)
	for x, after := range afters {
		after(missed[x])
	}
	s.trim()
	return nil
}

// Subscribers is the number of this server's clients that have subscribed to a
// channel.
func (s *Server) Subscribers(channel string) int {
	return len(s.hub.subscribers(trimSlash(channel)))
}

// SendTo queues an event for the client of an id, as Client.Send does. It
// returns ErrNoTarget when no such client is on this server.
func (s *Server) SendTo(ctx context.Context, clientID, event string, data any) error {
	x := s.sessions.find(clientID)
	if x == nil {
		return ErrNoTarget
	}
	return x.client.Send(event, data)
}

// send queues a push for one client, with its hook.
func (s *session) send(p *push) (err error) {
	if hook := s.server.opt.OnSend; hook != nil {
		if after := hook(&s.client, p.name, p.data); after != nil {
			defer func() { after(err) }()
		}
	}
	err = s.push(p)
	s.server.trim()
	return err
}

// push queues a push for one client. It may be called under a channel's lock
// and the registry's.
func (s *session) push(p *push) error {
	f, err := s.dialect.frame(p, false)
	if err != nil {
		return err
	}
	return s.queue(f)
}

// pushLast queues a channel's last value for a new subscriber.
func (s *session) pushLast(p *push) {
	if f, err := s.dialect.frame(p, true); err == nil {
		s.queue(f)
	}
}

// queue appends a frame that has nobody who could wait for room.
func (s *session) queue(f transport.Frame) error {
	switch {
	case s.over.Load():
		return ErrGone
	case f.Size() > s.limit():
		s.server.counters.unsent.Add(1)
		return Errorf(TooLarge, "the message has %d bytes, the client takes %d", f.Size(), s.limit())
	}
	var err error
	if s.out != nil {
		err = s.out.Append(f, false)
	} else {
		err = s.queueStreams(f)
	}
	switch {
	case err == nil:
		s.server.counters.pushes.Add(1)
		return nil
	case errors.Is(err, transport.ErrFull):
		s.slow()
	}
	return ErrGone
}

// subscribe is a client's own request, on the session's job goroutine. answered
// queues the answer of a client that waits for one.
func (s *session) subscribe(channel string, last bool, answered func()) error {
	if !s.member(channel) {
		if err := s.authorize(channel); err != nil {
			return err
		}
	}
	return s.server.hub.subscribe(s, channel, byClient, answered, last)
}

// authorize asks whether the client may subscribe.
func (s *session) authorize(channel string) error {
	if hook := s.server.opt.AuthorizeSubscribe; hook != nil {
		err := s.server.try("AuthorizeSubscribe", func() error { return hook(s.values, &s.client, channel) })
		var e *Error
		switch {
		case err == nil:
			return nil
		case errors.As(err, &e):
			return e
		case err == errPanic:
			return Errorf(Internal, "internal error")
		}
		s.server.opt.Logger.Warn("ape: subscription refused", "client", s.id, "channel", channel, "err", err)
		return Errorf(Denied, "not allowed to subscribe to %q", channel)
	}
	if channel == "private" || strings.HasPrefix(channel, "private/") {
		return Errorf(Denied, "no client may subscribe to %q by itself", channel)
	}
	return nil
}

// subscriptionEnded tells an ape.1 client that the server has ended one.
func (s *session) subscriptionEnded(channel string) {
	if f, ok := s.dialect.ended(channel, Errorf(Denied, "the server has ended the subscription")); ok {
		s.queue(f)
	}
}
