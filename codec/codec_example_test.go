package codec_test

import (
	"fmt"
	"time"

	"github.com/goape/ape/codec"
)

func Example() {
	type Event struct {
		Name string    `json:"name"`
		At   time.Time `json:"at"`
	}
	text, err := codec.Marshal(Event{"start", time.UnixMilli(1795168201198)})
	fmt.Println(string(text), err)

	var e Event
	err = codec.Unmarshal(text, &e)
	fmt.Println(e.At.UTC(), err)

	err = codec.Unmarshal([]byte(`{"name":"start","at":7}`), &e)
	fmt.Println(err)
	// Output:
	// {"name":"start","at<!D>":1795168201198} <nil>
	// 2026-11-20 09:50:01.198 +0000 UTC <nil>
	// codec: at: want a date (a member tagged <!D>, or RFC 3339 text), got the number 7
}

func ExampleAppendMember() {
	message, err := codec.AppendMember([]byte(`{"type":"/news",`), "data", []any{time.UnixMilli(7), codec.Undefined, 1})
	message = append(message, '}')
	fmt.Println(string(message), err)
	// Output: {"type":"/news","data<![D,U,]>":[7,null,1]} <nil>
}
