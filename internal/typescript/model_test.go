package typescript_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"time"

	"github.com/goape/ape/codec"
	"github.com/goape/ape/internal/typescript"
	"github.com/goape/ape/internal/typescript/testdata/auth"
	"github.com/goape/ape/internal/typescript/testdata/billing"
)

// The model of a shop, with something of everything.

type Color string

func (Color) Values() []Color { return []Color{"red", "green", "a \"quoted\" one"} }

type Level int

func (*Level) Values() []Level { return []Level{1, 2, 3, 2} }

// Size writes itself as text.
type Size uint8

func (s Size) MarshalText() ([]byte, error) { return []byte("size" + strconv.Itoa(int(s))), nil }
func (Size) Values() []Size                 { return []Size{1, 2} }

type Open string

func (Open) Values() []Open { return nil }

type role string

func (role) Values() []string { return []string{"admin", "guest"} }

type Hex [4]byte

func (h Hex) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%x", h[:]), nil }

type Money struct{ cents int64 }

func (m Money) MarshalJSON() ([]byte, error) { return json.Marshal(m.cents) }

type Lenient int

func (l *Lenient) UnmarshalJSON(text []byte) error { return nil }

type Checked string

func (c *Checked) UnmarshalText(text []byte) error { return nil }

type Failure struct{ Code int }

func (f *Failure) Error() string { return errors.New("failed").Error() }

type UserID int64

type Tags []string

type Tree map[string]Tree

type Node struct {
	Value any     `json:"value"`
	Left  *Node   `json:"left,omitempty"`
	Right *Node   `json:"right"`
	More  []*Node `json:"more"`
}

type Loop *Loop

type Chain *struct{ Next Chain }

type Base struct {
	ID      UserID    `json:"id"`
	Created time.Time `json:"created"`
	Hidden  string    `json:"hidden"`
}

type Audit struct {
	By     string `json:"by"`
	Hidden string `json:"hidden"`
}

type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

type Pair[A, B any] struct {
	First  A
	Second B
}

type Product struct {
	Base
	*Audit
	Name      string              `json:"name"`
	Price     float64             `json:"price,string"`
	Stock     *int64              `json:"stock,string"`
	Secret    string              `json:"-"`
	Dash      bool                `json:"-,"`
	secret    string              //nolint:unused // is there to be left out
	Color     Color               `json:"color"`
	Colors    []Color             `json:"colors"`
	Favourite *Color              `json:"favourite"`
	Level     Level               `json:"level,omitzero"`
	Size      Size                `json:"size"`
	BySize    map[Size]int        `json:"bySize"`
	ByColor   map[Color]string    `json:"byColor,omitempty"`
	ByID      map[UserID]*Node    `json:"byID"`
	Open      Open                `json:"open"`
	Role      role                `json:"role"`
	Hash      Hex                 `json:"hash"`
	Money     Money               `json:"money"`
	Lenient   Lenient             `json:"lenient"`
	Checked   *Checked            `json:"checked"`
	Raw       json.RawMessage     `json:"raw"`
	Number    json.Number         `json:"number"`
	Image     []byte              `json:"image"`
	Thumb     []byte              `json:"thumb,omitempty"`
	Corner    [2]float64          `json:"corner"`
	Matrix    [9]*int             `json:"matrix"`
	Sold      *time.Time          `json:"sold"`
	Gone      time.Time           `json:"gone,omitempty"`
	Later     time.Time           `json:"later,omitzero"`
	Took      time.Duration       `json:"took"`
	Pattern   *regexp.Regexp      `json:"pattern"`
	Script    codec.RegExp        `json:"script"`
	Set       codec.Set           `json:"set"`
	Map       codec.Map           `json:"map"`
	Err       error               `json:"err"`
	Failure   *Failure            `json:"failure,omitempty"`
	Tags      Tags                `json:"tags"`
	Labels    Tags                `json:"labels,omitempty"`
	Tree      Tree                `json:"tree"`
	Loop      Loop                `json:"loop"`
	Chain     Chain               `json:"chain"`
	Any       any                 `json:"any"`
	Stringer  fmt.Stringer        `json:"stringer,omitempty"`
	Free      struct{}            `json:"free"`
	Size2     struct{ W, H int }  `json:"size2"`
	Odd       int                 `json:"odd name"`
	Undefined codec.UndefinedType `json:"undefined"`
	Struct    Base                `json:"struct,omitempty"`
	Zero      Base                `json:"zero,omitzero"`
	Complex   complex128          `json:"-"`
}

type Query struct {
	Limit int    `json:"limit,omitempty"`
	Text  string `json:"text,omitempty"`
}

type Nothing struct{}

type Question struct {
	Text string `json:"text"`
}

func typeFor[T any]() reflect.Type { return reflect.TypeFor[T]() }

// shop uses all of it.
func shop() *typescript.Schema {
	return &typescript.Schema{
		Paths: []typescript.Path{
			{Name: "products/list", In: typeFor[Query](), Out: typeFor[Page[Product]]()},
			{Name: "products", Out: typeFor[[]Product]()},
			{Name: "products/get", In: typeFor[UserID](), Out: typeFor[*Product]()},
			{Name: "products/remove", In: typeFor[UserID]()},
			{Name: "products/some", In: typeFor[[]UserID](), Out: typeFor[map[string]Pair[[]Color, map[UserID]*auth.User]]()},
			{Name: "products/rest/*", In: typeFor[Nothing](), Out: typeFor[codec.UndefinedType]()},
			{Name: "products/rest/own", In: typeFor[struct{}](), Out: typeFor[struct{}]()},
			{Name: "users/pay", In: typeFor[billing.User](), Out: typeFor[billing.Date]()},
			{Name: "users/sign in", In: typeFor[auth.User](), Out: typeFor[bool]()},
			{Name: "pages", Out: typeFor[Pair[Page[auth.User], Page[billing.User]]]()},
			{Name: "byHand", Unknown: true},
			{Name: "files/*", Out: typeFor[[]byte]()},
			{Name: "logs/tail", In: typeFor[Question](), Out: typeFor[string](), Streams: true},
			{Name: "upload", Item: typeFor[[]byte](), Out: typeFor[int]()},
			{Name: "talk", Item: typeFor[Question](), Out: typeFor[string](), Streams: true},
			{Name: "*", Unknown: true},
			{Name: "$/odd", Unknown: true},
		},
		Events: []typescript.Message{
			{Name: "chat/message", Type: typeFor[Question]()},
			{Name: "bye", Type: typeFor[struct{}]()},
		},
		Channels: []typescript.Message{
			{Name: "ticker/*", Type: typeFor[float64]()},
			{Name: "ticker/all", Type: typeFor[[]float64]()},
			{Name: "room/*", Type: typeFor[Question]()},
			{Name: "room/*/typing", Type: typeFor[bool]()},
			{Name: "news/banking", Type: typeFor[string]()},
		},
		Handlers: []typescript.Path{
			{Name: "confirm", In: typeFor[Question](), Out: typeFor[bool]()},
			{Name: "ping", In: typeFor[struct{}](), Out: typeFor[struct{}]()},
		},
	}
}
