package mounttest_test

import (
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"

	"github.com/goape/ape"
)

// mounting is a way to put ape into a program, beside a route of its own.
type mounting struct {
	name  string
	base  string // where ape is; "" means /api, "/" the root
	users string // the program's own route; "" means /api/v1/users
	mount func(app *ape.Server, users http.HandlerFunc) http.Handler
	want  outcome
	gzip  bool   // whether streams of ape.1, which are text/plain, are compressed on their way
	says  string // how the log of the http.Server begins
}

// The functions below are what docs/deploy.md shows.

func mountMux(app *ape.Server, users http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/users", users) // your own routes, as before
	mux.Handle("/api/", app)                   // everything else below /api/
	return mux
}

func mountMuxRoot(app *ape.Server, users http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/users", users)
	mux.Handle("/ape", app)
	mux.Handle("/ape/", app)
	mux.Handle("/ape.js", app)
	return mux
}

func mountStripped(app *ape.Server, users http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /realtime/v1/users", users)
	mux.Handle("/realtime/", http.StripPrefix("/realtime", app))
	return mux
}

func mountChi(app *ape.Server, users http.HandlerFunc) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Logger, middleware.Recoverer, middleware.Compress(5))
	r.Get("/api/v1/users", users)
	r.Mount("/api", app)
	return r
}

func mountChiHandle(app *ape.Server, users http.HandlerFunc) http.Handler {
	r := chi.NewRouter()
	r.Get("/api/v1/users", users)
	r.Handle("/api/*", app)
	return r
}

func mountChiRoute(app *ape.Server, users http.HandlerFunc) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Logger, middleware.Recoverer)
	r.Mount("/api", app) // outside of the group: without its time limit
	r.Group(func(r chi.Router) {
		r.Use(middleware.Timeout(30 * time.Second))
		r.Get("/api/v1/users", users)
	})
	return r
}

func mountGin(app *ape.Server, users http.HandlerFunc) http.Handler {
	r := gin.New()
	r.Use(gin.Logger(), gin.Recovery())
	r.GET("/api/v1/users", gin.WrapF(users))
	r.Any("/api/ape", gin.WrapH(app))
	r.Any("/api/ape/*path", gin.WrapH(app))
	r.GET("/api/ape.js", gin.WrapH(app))
	return r
}

func mountGinAll(app *ape.Server, users http.HandlerFunc) http.Handler {
	r := gin.New()
	r.GET("/rest/v1/users", gin.WrapF(users))
	r.Any("/api/*path", gin.WrapH(app))
	return r
}

func mountEcho(app *ape.Server, users http.HandlerFunc) http.Handler {
	e := echo.New()
	e.Use(echomiddleware.RequestLogger(), echomiddleware.Recover(), echomiddleware.Gzip())
	e.GET("/api/v1/users", echo.WrapHandler(users))
	e.Any("/api/*", echo.WrapHandler(app))
	return e
}

var routers = []mounting{
	{name: "ServeMux", mount: mountMux},
	{name: "ServeMux, exact routes at the root", base: "/", users: "/v1/users", mount: mountMuxRoot},
	{name: "StripPrefix", base: "/realtime", users: "/realtime/v1/users", mount: mountStripped},
	{name: "chi Mount", mount: mountChi, gzip: true},
	{name: "chi Handle", mount: mountChiHandle},
	{name: "chi Mount beside a group with Timeout", mount: mountChiRoute},
	{name: "gin", mount: mountGin},
	{name: "gin Any of everything", users: "/rest/v1/users", mount: mountGinAll},
	{name: "echo", mount: mountEcho, gzip: true},
}

func TestRouters(t *testing.T) {
	for _, m := range routers {
		t.Run(m.name, func(t *testing.T) {
			p := open(t, m, ape.Options{}, nil)
			p.prove(t, m.want)
			p.quiet(t)
		})
	}
}

// TestGinRefusesEverythingBesideOtherRoutes is why docs/deploy.md names ape's
// routes one by one.
func TestGinRefusesEverythingBesideOtherRoutes(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("gin takes /api/*path beside /api/v1/users now; docs/deploy.md can be simpler")
		}
	}()
	r := gin.New()
	r.GET("/api/v1/users", gin.WrapF(users))
	r.Any("/api/*path", gin.WrapH(ape.New(nil)))
}

// TestMain silences the loggers of middleware, which write to the standard
// output.
func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	slog.SetDefault(slog.New(slog.DiscardHandler)) // echo
	gin.DefaultWriter, gin.DefaultErrorWriter = io.Discard, io.Discard
	middleware.DefaultLogger = middleware.RequestLogger(&middleware.DefaultLogFormatter{Logger: log.New(io.Discard, "", 0)})
	os.Exit(m.Run())
}
