package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/goape/ape"
)

const (
	maxName    = 24   // characters
	maxText    = 2000 // characters
	maxHistory = 100  // messages
)

// message is what somebody has said.
type message struct {
	ID   int64     `json:"id"` // grows, also when the program starts anew
	Name string    `json:"name"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// present is who is here: the last value of the channel chat/online.
type present struct {
	Names  []string `json:"names"`
	Guests int      `json:"guests"` // who have not chosen a name yet
}

// room is everything that people share.
type room struct {
	app *ape.Server

	mu      sync.Mutex
	names   map[string]string // by client id, "" for a guest
	history []message
	lastID  int64
}

func newRoom() *room {
	r := &room{names: map[string]string{}}
	r.app = ape.New(&ape.Options{
		OnConnect:    r.arrive,
		OnDisconnect: r.leave,
		MaxMessage:   16 << 10,
		ResumeWindow: 20 * time.Second, // for so long somebody whose connection is lost stays online
		DrainWindow:  500 * time.Millisecond,
	})
	// What people do by hand is slow. A page that floods gets the error busy.
	chat := r.app.Group("chat", ape.RateLimit(5, 20))
	chat.Register("", r)
	// Serial: what somebody sends in a row stays in that order.
	chat.Handle("send", ape.Serial(ape.Func(r.send)))
	return r
}

type joinInput struct {
	Name string `json:"name"`
}

type joinResult struct {
	Name    string    `json:"name"`
	History []message `json:"history"`
}

// Join is chat/join: it gives the caller a name and returns what was said
// before. The name of somebody whose connection is lost is free.
func (r *room) Join(ctx context.Context, in joinInput) (*joinResult, error) {
	name := strings.Join(strings.Fields(in.Name), " ")
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName {
		return nil, ape.Errorf(ape.Invalid, "a name has 1 to %d characters", maxName)
	}
	me := ape.From(ctx).Client()
	r.mu.Lock()
	defer r.mu.Unlock()
	if me.Context().Err() != nil {
		return nil, ape.ErrGone // leave has been here
	}
	for id, other := range r.names {
		if id == me.ID() || !strings.EqualFold(other, name) {
			continue
		}
		if c := r.app.Client(id); c != nil && c.Attached() {
			return nil, ape.Errorf(ape.Exists, "%s is here already, choose another name", other)
		}
		r.names[id] = ""
	}
	r.names[me.ID()] = name
	return &joinResult{name, append([]message{}, r.history...)}, r.tell()
}

// Typing is chat/typing. Pages send it as an event, since nobody waits for an
// answer.
func (r *room) Typing(ctx context.Context) error {
	call := ape.From(ctx)
	r.mu.Lock()
	name := r.names[call.Client().ID()]
	r.mu.Unlock()
	if name == "" {
		return nil
	}
	return call.BroadcastOthers("chat/typing", name)
}

type sendInput struct {
	Text string `json:"text"`
}

// send is chat/send. Sending under the lock, which never waits, lets everybody
// see the messages in one order.
func (r *room) send(ctx context.Context, in sendInput) (*message, error) {
	text := strings.TrimSpace(in.Text)
	if n := utf8.RuneCountInString(text); n == 0 || n > maxText {
		return nil, ape.Errorf(ape.Invalid, "a message has 1 to %d characters", maxText)
	}
	call := ape.From(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	name := r.names[call.Client().ID()]
	if name == "" {
		return nil, ape.Errorf(ape.Unauthenticated, "choose a name first")
	}
	now := time.Now()
	r.lastID = max(r.lastID+1, now.UnixMilli())
	m := message{ID: r.lastID, Name: name, Text: text, At: now}
	if len(r.history) == maxHistory {
		r.history = slices.Delete(r.history, 0, 1)
	}
	r.history = append(r.history, m)
	return &m, call.BroadcastOthers("chat/message", m)
}

// arrive lets a client in, as a guest.
func (r *room) arrive(_ context.Context, c *ape.Client, _ *http.Request) (context.Context, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[c.ID()] = ""
	return nil, r.tell()
}

// leave forgets a client whose session is over: it has left, or has been away
// for longer than Options.ResumeWindow.
func (r *room) leave(c *ape.Client, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.names, c.ID())
	r.tell()
}

// tell publishes who is here. mu is held, so that the newest list is the last.
func (r *room) tell() error {
	here := present{Names: []string{}}
	for _, name := range r.names {
		if name == "" {
			here.Guests++
		} else {
			here.Names = append(here.Names, name)
		}
	}
	slices.SortFunc(here.Names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return r.app.Publish("chat/online", here)
}
