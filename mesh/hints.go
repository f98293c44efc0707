package mesh

// A hint is what to say to who passes a well-known client that no imported
// backend takes.
type hint struct {
	backend string // the package to import; its last element
	instead string // what to pass instead, where no backend can take it
}

// hints are by the full name of the type. The packages of the clients cannot be
// imported here: everybody would link them.
var hints = map[string]hint{
	"*github.com/redis/go-redis/v9.Client":        {backend: "redis"},
	"*github.com/redis/go-redis/v9.ClusterClient": {backend: "redis"},
	"*github.com/redis/go-redis/v9.Ring": {instead: "a Ring spreads keys and channels over servers that know nothing of each other; " +
		"pass the *redis.Client of one of them, or a *redis.ClusterClient"},
}

func (h hint) String() string {
	if h.instead != "" {
		return h.instead
	}
	return "add " + importLine(h.backend) + " to your program"
}

func importLine(backend string) string {
	return `import _ "github.com/goape/ape/mesh/` + backend + `"`
}
