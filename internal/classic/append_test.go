package classic_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/goape/ape/internal/classic"
)

func TestMessagesOfTheServer(t *testing.T) {
	for want, got := range map[string][]byte{
		`{"data":{"clientId":"NB3FDN54DBVSVSABYDTG"},"type":"__connected__","queryId":null}`: classic.AppendConnected(nil, "NB3FDN54DBVSVSABYDTG"),
		`{"data":{"msg":"hello World"},"type":false,"queryId":"3XVG6CX"}`:                    append(classic.AppendReply(nil, "3XVG6CX"), `,"data":{"msg":"hello World"}}`...),
		`{"data<!D>":7,"type":false,"queryId":"2ZNR26Z"}`:                                    append(classic.AppendReply(nil, "2ZNR26Z"), `,"data<!D>":7}`...),
		`{"type":false,"queryId":"2RRB9TN"}`:                                                 append(classic.AppendReply(nil, "2RRB9TN"), '}'),
		`{"data":{"h":1},"type":"/news","queryId":false}`:                                    append(classic.AppendMessage(nil, "news"), `,"data":{"h":1}}`...),
		`{"data":{"n":1},"type":"notice","queryId":false}`:                                   append(classic.AppendEvent(nil, "notice"), `,"data":{"n":1}}`...),
		`{"data":{"n":1},"type":"/a\"\\b\u2028\ufffd","queryId":false}`:                      append(classic.AppendMessage(nil, "a\"\\b\u2028\xff"), `,"data":{"n":1}}`...),
		`{"err":"boom","error":"boom","code":"failed","type":false,"queryId":"29Q0B4W"}`:     classic.AppendError(nil, "29Q0B4W", "failed", "boom", nil),
		`{"err":"busy","error":"busy","code":"busy","data":{"retryAfter":5},"type":false}`:   classic.AppendError(nil, "", "busy", "", []byte(`{"retryAfter":5}`)),
	} {
		var g, w any
		if err := json.Unmarshal([]byte(want), &w); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &g); err != nil || !reflect.DeepEqual(g, w) {
			t.Errorf("got  %s\nwant %s (%v)", got, want, err)
		}
	}
}

func TestAppendingKeepsWhatIsThere(t *testing.T) {
	for _, got := range [][]byte{
		classic.AppendReply([]byte("x"), "Q"), classic.AppendError([]byte("x"), "Q", "c", "m", nil), classic.AppendEvent([]byte("x"), "e"),
		classic.AppendMessage([]byte("x"), "c"), classic.AppendConnected([]byte("x"), "i"),
	} {
		if string(got[:2]) != "x{" {
			t.Errorf("got %s", got)
		}
	}
}

func TestOneLeadingSlashIsRemoved(t *testing.T) {
	for in, want := range map[string]string{"": "", "/": "", "a": "a", "/a": "a", "//a": "/a", "/a/": "a/", "a/b": "a/b"} {
		if got := classic.Bare(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if got := classic.Bare([]byte(in)); string(got) != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
