package redis

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
)

// What anybody can write into the store is an error or what it says.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", " ", "1 2", "1 0 null", `140737488355327 65535 {"a":"b"}`, "281474976710656 1 {}", "-1 0 null", "1 65536 null", "1 2 3 a", "1 2 18446744073709551616 a", "1 2 3 a b", "1 2 3 "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := parseRecord("a", text); err == nil {
			meta, err := json.Marshal(m.Meta)
			if err != nil {
				t.Fatal(err)
			}
			again, err := parseRecord("a", life(m.Epoch)+" "+term(m.Epoch)+" "+string(meta))
			if err != nil || !reflect.DeepEqual(again, m) {
				t.Errorf("%q is %+v, which is %+v, %v", text, m, again, err)
			}
		}
		if o, err := parseRow(text); err == nil {
			again, err := parseRow(fmt.Sprintf("%s %s %d %s", life(o.Epoch), term(o.Epoch), o.Gen, o.ID))
			if err != nil || again != o {
				t.Errorf("%q is %+v, which is %+v, %v", text, o, again, err)
			}
		}
	})
}
