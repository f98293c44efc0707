package mesh_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goape/ape/mesh"
)

type (
	store   struct{ opened string }
	unknown struct{}
)

func init() {
	mesh.Register("test", func(s *store, namespace string) (mesh.Mesh, error) {
		s.opened = namespace
		return mesh.NewMemory(nil).Mesh(namespace), nil
	})
}

func TestOpenFindsTheBackendByType(t *testing.T) {
	var s store
	for _, x := range []struct{ asked, got string }{{"shop", "shop"}, {"", "ape"}} {
		m, err := mesh.Open(&s, x.asked)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Channels().Traits().Namespace; got != x.got || s.opened != x.got {
			t.Errorf("Open(%q): namespace %q, opened with %q, want %q", x.asked, got, s.opened, x.got)
		}
	}
	if m, err := mesh.Open(mesh.NewMemory(nil), "demo"); err != nil || m.Channels().Traits().Namespace != "demo" {
		t.Errorf("Open of a Memory: %v, %v", m, err)
	}
}

func TestOpenReturnsAMeshAsItIs(t *testing.T) {
	m := mesh.NewMemory(nil).Mesh("shop")
	for _, namespace := range []string{"", "shop"} {
		if got, err := mesh.Open(m, namespace); got != m || err != nil {
			t.Errorf("Open(m, %q) = %v, %v", namespace, got, err)
		}
	}
	if _, err := mesh.Open(m, "other"); err == nil || !strings.Contains(err.Error(), `namespace "other" for a mesh that was made with "shop"`) {
		t.Errorf("Open with another namespace: %v", err)
	}
}

func TestOpenSaysWhatToPassInstead(t *testing.T) {
	for name, x := range map[string]struct {
		client any
		says   string
	}{
		"nothing":           {nil, "client is nil"},
		"a nil pointer":     {(*store)(nil), "client is nil (*mesh_test.store)"},
		"a value":           {store{}, "pass a pointer, a *mesh_test.store"},
		"an unknown type":   {unknown{}, "no backend takes a mesh_test.unknown: known here are *mesh.Memory (memory), *mesh_test.store (test); import the backend"},
		"a string":          {"redis://localhost", `no backend takes a string: known here are`},
		"an unknown import": {unknown{}, `import _ "github.com/goape/ape/mesh/redis"`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := mesh.Open(x.client, ""); err == nil || !strings.Contains(err.Error(), x.says) {
				t.Errorf("got %v, want %q in it", err, x.says)
			}
		})
	}
	if _, err := mesh.Open(&store{}, "Not Good"); err == nil || !strings.Contains(err.Error(), "a-z 0-9 _ -") {
		t.Errorf("Open with a namespace that breaks the rule: %v", err)
	}
}

func TestRegisterPanicsOnMistakes(t *testing.T) {
	open := func(*store, string) (mesh.Mesh, error) { return nil, nil }
	for says, register := range map[string]func(){
		`"test" has it already`: func() { mesh.Register("again", open) },
		"an interface|register the concrete types": func() {
			mesh.Register("any", func(mesh.Mesh, string) (mesh.Mesh, error) { return nil, nil })
		},
		"without a function": func() { mesh.Register[unknown]("none", nil) },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !regexp.MustCompile(says).MatchString(text) {
					t.Errorf("got the panic %q, want %q in it", text, says)
				}
			}()
			register()
		}()
	}
}

// Imports that messages show must exist.
func TestImportsInMessagesExist(t *testing.T) {
	text, err := os.ReadFile("hints.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`backend: "(\w+)"`).FindAllStringSubmatch(string(text), -1)
	if len(found) == 0 {
		t.Fatal("no backends in hints.go")
	}
	for _, f := range found {
		if _, err := os.Stat(filepath.Join(f[1], "doc.go")); err != nil {
			t.Error(err)
		}
	}
}
