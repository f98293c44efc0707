package mesh

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// backend is what Register was given for one type of client.
type backend struct {
	name string
	open func(client any, namespace string) (Mesh, error)
}

var (
	backendsMu sync.RWMutex
	backends   = map[reflect.Type]backend{}
)

// Register makes Open accept clients of type C, a concrete type. A backend calls
// it in its init, once for each type that it takes. name is that of the backend,
// for messages. Register panics when another backend has taken C.
func Register[C any](name string, open func(client C, namespace string) (Mesh, error)) {
	kind := reflect.TypeFor[C]()
	if kind.Kind() == reflect.Interface {
		panic(fmt.Sprintf("mesh: Register of the interface %v by %q: register the concrete types", kind, name))
	}
	if open == nil {
		panic(fmt.Sprintf("mesh: Register of %v by %q without a function to open it", kind, name))
	}
	backendsMu.Lock()
	defer backendsMu.Unlock()
	if other, ok := backends[kind]; ok {
		panic(fmt.Sprintf("mesh: Register of %v by %q: %q has it already", kind, name, other.name))
	}
	backends[kind] = backend{name, func(client any, namespace string) (Mesh, error) {
		return open(client.(C), namespace)
	}}
}

// Open returns a Mesh over a store's client, of a type that a backend has
// registered. The namespace may be empty for the default. A client that is a
// Mesh is returned as it is, if its namespace is the one asked for.
func Open(client any, namespace string) (Mesh, error) {
	if missing(client) {
		return nil, fmt.Errorf("mesh: the store's client is nil (%T)", client)
	}
	if m, ok := client.(Mesh); ok {
		if has := m.Channels().Traits().Namespace; namespace != "" && namespace != has {
			return nil, fmt.Errorf("mesh: namespace %q for a mesh that was made with %q: leave one of them out", namespace, has)
		}
		return m, nil
	}
	if namespace == "" {
		namespace = DefaultNamespace
	}
	if err := CheckNamespace(namespace); err != nil {
		return nil, err
	}
	backendsMu.RLock()
	defer backendsMu.RUnlock()
	if b, ok := backends[reflect.TypeOf(client)]; ok {
		return b.open(client, namespace)
	}
	return nil, fmt.Errorf("mesh: no backend takes a %T: %s", client, advice(reflect.TypeOf(client)))
}

func missing(client any) bool {
	v := reflect.ValueOf(client)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// advice says what to do about a type of client that nobody has registered. The
// caller holds backendsMu.
func advice(kind reflect.Type) string {
	if h, ok := hints[typeName(kind)]; ok {
		return h.String()
	}
	pointer := reflect.PointerTo(kind)
	if _, ok := backends[pointer]; ok {
		return fmt.Sprintf("pass a pointer, a %v", pointer)
	}
	if h, ok := hints[typeName(pointer)]; ok && h.backend != "" {
		return fmt.Sprintf("pass a pointer, a %v, and %s", pointer, h)
	}
	var known []string
	for kind, b := range backends {
		known = append(known, fmt.Sprintf("%v (%s)", kind, b.name))
	}
	slices.Sort(known)
	return "known here are " + strings.Join(known, ", ") + "; import the backend of your store, as " + importLine("redis") + " for Redis, or pass a mesh.Mesh"
}

// typeName is like "*github.com/redis/go-redis/v9.Client".
func typeName(kind reflect.Type) string {
	star := ""
	if kind.Kind() == reflect.Pointer {
		star, kind = "*", kind.Elem()
	}
	return star + kind.PkgPath() + "." + kind.Name()
}
