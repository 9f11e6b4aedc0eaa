// Package console is the server's web page for people: the latest calls, and a
// call with its picture, its timeline as it grows, and a player; callbacks, queues and
// operators as they are now; webhooks and what backends are told; the connection
// with Bitrix24. In English and Russian.
//
// A page is made on the server of what the store and the services say. Its buttons
// and forms ask the API (assets/deeds.js), so the rights and rules are the API's.
package console

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/store"
)

// Store is what the pages show. What is not there is store.ErrNotFound.
type Store interface {
	Call(ctx context.Context, account, id string) (call.Call, error)
	Calls(ctx context.Context, account string, page store.Page, filter store.CallFilter) ([]call.Call, string, error)
	Events(ctx context.Context, account, callID string, afterSeq int64) ([]call.Event, error)
	Transcript(ctx context.Context, account, callID string) ([]call.Segment, error)
	Callbacks(ctx context.Context, account string, page store.Page, filter store.CallbackFilter) ([]callback.Record, string, error)
	Queues(ctx context.Context, account string) ([]directory.Queue, error)
	Operators(ctx context.Context, account string) ([]directory.Operator, error)
	Webhooks(ctx context.Context, account string) ([]store.Webhook, error)
	Deliveries(ctx context.Context, account string, page store.Page, filter store.DeliveryFilter) ([]store.Delivery, string, error)
}

// Config is what a console is made of; all fields are needed.
type Config struct {
	Store  Store
	Queues Queues
	Phones Phones
	CRM    CRM
	Door   *access.Door
	Logger *slog.Logger
}

// Console serves the pages.
type Console struct {
	c     Config
	mux   *http.ServeMux
	csrf  *http.CrossOriginProtection
	pages map[lang]*pages
}

//go:embed pages assets
var files embed.FS

// pagePolicy lets pages load their own files and talk to their own server.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Register hangs the pages on the mux that serves the API.
func Register(mux *http.ServeMux, c Config) {
	con := &Console{c: c, mux: mux, csrf: http.NewCrossOriginProtection(), pages: parsePages()}
	page := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", pagePolicy)
			h(w, r)
		}))
	}
	page("GET /{$}", con.list)
	page("GET /calls/{id}", con.call)
	page("GET "+callbacksPath, con.callbacks)
	page("GET "+queuesPath, con.queues)
	page("GET "+operatorsPath, con.operators)
	page("GET "+deliveriesPath, con.deliveries)
	page("GET "+bitrix24Path, con.bitrix24)
	page("GET /login", con.loginForm)
	page("POST /login", con.login)
	page("POST /logout", con.logout)
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	mux.HandleFunc("GET /assets/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, assets, r.PathValue("file"))
	})
}
