// Command app is a whole program in package main.
package main

import (
	"context"
	"net/http"

	"github.com/goape/ape"
)

// Mood is how somebody feels.
type Mood string

const (
	Good Mood = "good"
	Bad  Mood = "bad"
)

var answer = Good

// mood tells the app's mood.
func mood(context.Context) (Mood, error) { return answer, nil }

func newServer() *ape.Server {
	if answer == "" {
		panic("variables are not initialized")
	}
	app := ape.New(nil)
	app.Handle("mood", ape.Get(mood))
	return app
}

func main() {
	http.ListenAndServe("localhost:0", newServer())
}
