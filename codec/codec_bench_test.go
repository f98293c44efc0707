package codec_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/goape/ape/codec"
)

type plainUser struct {
	ID     int               `json:"id"`
	Name   string            `json:"name"`
	Mail   string            `json:"mail,omitempty"`
	Score  float64           `json:"score"`
	Active bool              `json:"active"`
	Roles  []string          `json:"roles"`
	Labels map[string]string `json:"labels"`
}

type taggedUser struct {
	plainUser
	Created time.Time   `json:"created"`
	Logins  []time.Time `json:"logins"`
}

func benchPlain() []plainUser {
	users := make([]plainUser, 20)
	for i := range users {
		users[i] = plainUser{
			ID: i, Name: fmt.Sprintf("user number %d", i), Mail: "someone@example.com", Score: float64(i) * 1.25, Active: i%2 == 0,
			Roles: []string{"admin", "reader"}, Labels: map[string]string{"team": "blue", "room": "4"},
		}
	}
	return users
}

func benchTagged() []taggedUser {
	users := make([]taggedUser, 20)
	for i, u := range benchPlain() {
		users[i] = taggedUser{plainUser: u, Created: noon, Logins: []time.Time{noon, noon}}
	}
	return users
}

func benchAny(b *testing.B) any {
	b.Helper()
	text, err := json.Marshal(benchPlain())
	if err != nil {
		b.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		b.Fatal(err)
	}
	return v
}

// BenchmarkJSS holds the codec beside encoding/json on the same values.
func BenchmarkJSS(b *testing.B) {
	values := []struct {
		name  string
		value any
		into  func() any
	}{
		{"plain struct", benchPlain(), func() any { return new([]plainUser) }},
		{"tagged struct", benchTagged(), func() any { return new([]taggedUser) }},
		{"any", benchAny(b), func() any { return new(any) }},
		{"small struct", benchPlain()[1], func() any { return new(plainUser) }},
	}
	for _, v := range values {
		benchEncode(b, v.name+"/jss", v.value, codec.Marshal)
		benchEncode(b, v.name+"/encoding-json", v.value, json.Marshal)
	}
	for _, v := range values {
		benchDecode(b, v.name+"/jss", v.value, v.into, codec.Marshal, codec.Unmarshal)
		benchDecode(b, v.name+"/encoding-json", v.value, v.into, json.Marshal, json.Unmarshal)
	}
	tagged := map[string]any{"users": benchAny(b), "at": noon}
	benchEncode(b, "any with a tag/jss", tagged, codec.Marshal)
	benchEncode(b, "any with a tag/encoding-json", tagged, json.Marshal)
	benchDecode(b, "any with a tag/jss", tagged, func() any { return new(any) }, codec.Marshal, codec.Unmarshal)
	benchDecode(b, "any with a tag/encoding-json", tagged, func() any { return new(any) }, json.Marshal, json.Unmarshal)
}

func benchEncode(b *testing.B, name string, v any, marshal func(any) ([]byte, error)) {
	b.Run("encode/"+name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			text, err := marshal(v)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
		}
	})
}

func benchDecode(b *testing.B, name string, v any, into func() any, marshal func(any) ([]byte, error), unmarshal func([]byte, any) error) {
	text, err := marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode/"+name, func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if err := unmarshal(text, into()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMember is what a call costs: one member of a message with a date.
func BenchmarkMember(b *testing.B) {
	doc := []byte(`{"type":"/chat/send","data":{"room":"lobby","text":"hello, world"},"createdAt<!D>":1795168201198,"requestedAt<!D>":1795168201199}`)
	b.ReportAllocs()
	for b.Loop() {
		var in struct{ Room, Text string }
		if err := codec.UnmarshalMember(doc, "data", &in); err != nil {
			b.Fatal(err)
		}
	}
}
