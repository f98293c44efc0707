package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/goape/ape"
)

const maxName = 24 // characters

// point is a place on the board: parts of its width and height, 0 to 1.
type point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// entry is somebody in the list of the channel people.
type entry struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Hue  int    `json:"hue"` // of the colour, in degrees
	Away bool   `json:"away"`
}

// moved is the event cursor/moved. Without a place the cursor is not on the
// board.
type moved struct {
	ID string `json:"id"`
	At *point `json:"at"`
}

// person is one session of a client. The board's mu guards it.
type person struct {
	client *ape.Client
	entry
	number int // grows in the order of arrival
	at     *point
}

// board is everything that people share.
type board struct {
	app *ape.Server

	mu      sync.Mutex
	people  map[string]*person // who has entered, by client id
	entered int                // how many have, ever
	told    []entry            // the last value of people
}

// newBoard makes a board. keep is how long somebody whose connection is lost may
// take to come back.
func newBoard(keep time.Duration) *board {
	b := &board{people: map[string]*person{}}
	b.app = ape.New(&ape.Options{
		OnConnect:    arrive,
		OnDisconnect: b.leave,
		OnAway:       b.away,
		MaxMessage:   4 << 10,
		ResumeWindow: keep,
		Heartbeat:    5 * time.Second, // so a connection that went silent is noticed within 15 s
		DrainWindow:  500 * time.Millisecond,
	})
	b.app.Handle("people/enter", ape.Serial(ape.Func(b.enter)))
	// Serial: a cursor goes where it went last.
	b.app.Handle("cursor/move", ape.Serial(ape.Do(b.move)))
	return b
}

// personKey finds the caller's person in the context of its calls.
type personKey struct{}

// arrive prepares a person for a new session. Nobody sees it before it enters.
func arrive(ctx context.Context, c *ape.Client, _ *http.Request) (context.Context, error) {
	return context.WithValue(ctx, personKey{}, &person{client: c}), nil
}

type enterInput struct {
	Name string `json:"name"` // "": the server chooses
	Hue  *int   `json:"hue"`
}

// enter is people/enter: it shows the caller to everybody and returns what they
// see of it. Whoever is here already changes name and colour. A page calls it in
// every new session, with the name that it had, so a reload goes on under it.
func (b *board) enter(ctx context.Context, in enterInput) (*entry, error) {
	name := strings.Join(strings.Fields(in.Name), " ")
	if utf8.RuneCountInString(name) > maxName {
		return nil, ape.Errorf(ape.Invalid, "a name has at most %d characters", maxName)
	}
	if in.Hue != nil && (*in.Hue < 0 || *in.Hue > 359) {
		return nil, ape.Errorf(ape.Invalid, "a hue has 0 to 359 degrees")
	}
	me := ctx.Value(personKey{}).(*person)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := me.client.Context().Err(); err != nil {
		return nil, err // leave has run, or waits for mu: who enters now would stay for ever
	}
	if me.number == 0 {
		b.entered++
		me.number = b.entered
		me.ID = me.client.ID()
		me.Name = names[me.number%len(names)]
		me.Hue = me.number * 137 % 360 // the golden angle: neighbours differ
		me.Away = !me.client.Attached()
		b.people[me.ID] = me
		defer b.show(me)
	}
	me.Name = cmp.Or(name, me.Name)
	if in.Hue != nil {
		me.Hue = *in.Hue
	}
	mine := me.entry
	return &mine, b.tell()
}

// names are for those who have not chosen one.
var names = []string{
	"Otter", "Heron", "Lynx", "Badger", "Swift", "Marten", "Plover", "Hare",
	"Osprey", "Vole", "Ibex", "Wren", "Seal", "Newt", "Kestrel", "Stoat",
}

// move is cursor/move, which pages send as an event: nobody waits for an answer.
// Volatile leaves out who is away or slow: the next move is news, this one is not.
func (b *board) move(ctx context.Context, at *point) error {
	if at != nil && !(at.X >= 0 && at.X <= 1 && at.Y >= 0 && at.Y <= 1) {
		return ape.Errorf(ape.Invalid, "a cursor is at 0 to 1 of the board's width and height")
	}
	me := ctx.Value(personKey{}).(*person)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.people[me.ID] != me {
		return nil // not here yet, or not any more
	}
	me.at = at
	return b.app.Broadcast("cursor/moved", moved{me.ID, at}, ape.Except(me.ID), ape.Volatile())
}

// show tells somebody where all other cursors are. mu is held.
func (b *board) show(to *person) {
	for _, p := range b.people {
		if p != to {
			to.client.Send("cursor/moved", moved{p.ID, p.at})
		}
	}
}

// leave forgets a client whose session is over: its page was closed, or it has
// been away for too long.
func (b *board) leave(c *ape.Client, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.people, c.ID())
	b.tell()
}

// away notes who has a session but no connection, and shows the cursors to who is
// back.
func (b *board) away(c *ape.Client, away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.people[c.ID()]
	if p == nil {
		return // it has not entered
	}
	if p.Away = away; !away {
		b.show(p)
	}
	b.tell()
}

// tell publishes who is here, if that has changed. mu is held, so that the newest
// list is the last.
func (b *board) tell() error {
	people := make([]*person, 0, len(b.people))
	for _, p := range b.people {
		people = append(people, p)
	}
	slices.SortFunc(people, func(a, b *person) int { return cmp.Compare(a.number, b.number) })
	here := make([]entry, len(people))
	for i, p := range people {
		here[i] = p.entry
	}
	if slices.Equal(here, b.told) {
		return nil
	}
	b.told = here
	return b.app.Publish("people", here)
}
