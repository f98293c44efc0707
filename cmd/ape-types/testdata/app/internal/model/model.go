// Package model has the types of the app.
package model

import "time"

// Color is what a thing looks like.
type Color string

const (
	Red   Color = "red"
	Green Color = "green"
)

// Blue is declared apart from the others.
const Blue = Color("blu" + "e")

// Level says how loud a thing is.
type Level int

const (
	Quiet Level = iota
	_
	Loud
	Louder
	medium Level = 1
)

// Rights are flags, of which a thing may have several.
type Rights uint8

const (
	Read Rights = 1 << iota
	Write
)

// Code is one of those below, or one of somebody else's.
type Code string

// Values says that the set is open.
func (Code) Values() []Code { return nil }

const (
	NotFound Code = "not_found"
	Denied   Code = "denied"
)

// Alone has one constant only.
type Alone string

const Single Alone = "single"

// Timeout depends on what another package says.
type Timeout int64

const (
	Short = Timeout(time.Second)
	Long  = Timeout(time.Minute)
)

type (
	// Thing is what the app is about.
	//
	// It ends with */ and has <b>text</b>.
	Thing struct {
		// ID is unique.
		ID    int64  `json:"id,string"`
		Color Color  `json:"color"` // of its front
		Level Level  `json:"level"`
		May   Rights `json:"may"`
		Code  Code   `json:"code"`
		Alone Alone  `json:"alone"`
		After Timeout

		// Name is what it was called.
		//
		// Deprecated: things have no names.
		Name string `json:"name,omitempty"`
	}

	// Page is a part of a list.
	Page[T any] struct {
		Items []T  `json:"items"`
		More  bool `json:"more"` // whether there is another page
	}
)
