package mesh

import (
	"reflect"
	"strings"
	"testing"
)

type Client struct{}

type Ring struct{}

// The packages of well-known clients are not linked here, so types of this one
// stand for them.
func TestWellKnownClientsAreTold(t *testing.T) {
	here := reflect.TypeFor[Client]().PkgPath()
	hints["*"+here+".Client"] = hint{backend: "redis"}
	hints["*"+here+".Ring"] = hint{instead: "not a Ring"}
	defer delete(hints, "*"+here+".Client")
	defer delete(hints, "*"+here+".Ring")
	for says, client := range map[string]any{
		`no backend takes a *mesh.Client: add import _ "github.com/goape/ape/mesh/redis" to your program`:                                    &Client{},
		`no backend takes a mesh.Client: pass a pointer, a *mesh.Client, and add import _ "github.com/goape/ape/mesh/redis" to your program`: Client{},
		"no backend takes a *mesh.Ring: not a Ring": &Ring{},
	} {
		if _, err := Open(client, ""); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}
