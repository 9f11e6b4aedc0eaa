// Package httpapi is the server's JSON API: callbacks, calls, recordings, live
// events, trunks and operators, with keys, limits and its own OpenAPI document.
// Errors are RFC 9457 problem details that name the field.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/notice"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Store is what the API reads and what it lets an administrator set. What is
// not there is store.ErrNotFound.
type Store interface {
	Callback(ctx context.Context, account, id string) (callback.Record, error)
	Callbacks(ctx context.Context, account string, page store.Page, filter store.CallbackFilter) ([]callback.Record, string, error)
	Call(ctx context.Context, account, id string) (call.Call, error)
	Calls(ctx context.Context, account string, page store.Page, filter store.CallFilter) ([]call.Call, string, error)
	Events(ctx context.Context, account, callID string, afterSeq int64) ([]call.Event, error)
	Transcript(ctx context.Context, account, callID string) ([]call.Segment, error)

	Trunks(ctx context.Context, account string) ([]directory.Trunk, error)
	Trunk(ctx context.Context, account, name string) (directory.Trunk, error)
	PutTrunk(ctx context.Context, account string, t directory.Trunk) (created bool, err error)
	DeleteTrunk(ctx context.Context, account, name string) error

	Operators(ctx context.Context, account string) ([]directory.Operator, error)
	Operator(ctx context.Context, account, extension string) (directory.Operator, error)
	PutOperator(ctx context.Context, account string, o directory.Operator) (created bool, err error)
	DeleteOperator(ctx context.Context, account, extension string) error
	SetPaused(ctx context.Context, account, extension string, paused bool) error

	Widgets(ctx context.Context, account string) ([]directory.Widget, error)
	Widget(ctx context.Context, account, name string) (directory.Widget, error)
	PutWidget(ctx context.Context, account string, w directory.Widget) (created bool, err error)
	DeleteWidget(ctx context.Context, account, name string) error

	Queues(ctx context.Context, account string) ([]directory.Queue, error)
	Queue(ctx context.Context, account, name string) (directory.Queue, error)
	PutQueue(ctx context.Context, account string, q directory.Queue) (created bool, err error)
	DeleteQueue(ctx context.Context, account, name string) error

	Routes(ctx context.Context, account string) ([]directory.Route, error)
	Route(ctx context.Context, account, name string) (directory.Route, error)
	PutRoute(ctx context.Context, account string, r directory.Route) (created bool, err error)
	DeleteRoute(ctx context.Context, account, name string) error

	LocationTree(ctx context.Context, account string) (*numbering.Tree, error)
	PutLocation(ctx context.Context, account string, l numbering.Location) (created bool, err error)
	DeleteLocation(ctx context.Context, account, id string) error
}

// Calls makes and ends calls.
type Calls interface {
	// Accept stores a callback and starts it. The error is an invalid.Error,
	// dispatch.ErrDraining or dispatch.ErrKeyReused, or a failure.
	Accept(ctx context.Context, account string, p callback.Packet, raw []byte, idempotencyKey string) (dispatch.Accepted, error)
	// StartNow makes a callback's planned attempt now, or says
	// dispatch.ErrNotScheduled.
	StartNow(ctx context.Context, account, id string) (dispatch.Accepted, error)
	// CheckWidget is the widget as it may be stored. The error is an
	// invalid.Error or a failure.
	CheckWidget(ctx context.Context, account string, w directory.Widget) (directory.Widget, error)
	// CheckQueue and CheckRoute are what CheckWidget is, but for what they name:
	// that it exists, Store.PutQueue and Store.PutRoute see to.
	CheckQueue(ctx context.Context, q directory.Queue) (directory.Queue, error)
	CheckRoute(ctx context.Context, r directory.Route) (directory.Route, error)
	// Try is Accept without a call: what would become of the order. The error is
	// an invalid.Error, store.ErrNotFound (of the widget), dryrun.ErrBusy, or a
	// failure.
	Try(ctx context.Context, account, widget string, o dryrun.Order) (dispatch.Trial, error)
	Cancel(ctx context.Context, account, id string) error
	CancelCall(ctx context.Context, account, callID string) error
	// Transfer lets the operator of a call transfer it. The error is an
	// invalid.Error, store.ErrNotFound, dispatch.ErrNotTalking, or a failure.
	Transfer(ctx context.Context, o scenario.Order) error
}

// Queues tells who waits: acd.Hall.
type Queues interface {
	// Live is the queue as it is now, with these settings.
	Live(ctx context.Context, account string, q directory.Queue) (acd.Live, error)
}

// Phones tells what the engine knows of trunks and phones.
type Phones interface {
	// Trunk is the state of a trunk, false if the engine does not know it.
	Trunk(name string) (TrunkState, bool)
	DeviceState(extension string) telephony.DeviceState
	// Contacts are the addresses of the operator's registered phones.
	Contacts(extension string) []string
	// Reload lets the engine take over what changed among the trunks.
	Reload(ctx context.Context) error
}

// TrunkState is what the engine has seen of a trunk.
type TrunkState struct {
	Registered *bool  `json:"registered,omitempty" doc:"Of trunks that register: whether the carrier has accepted it"`
	Healthy    *bool  `json:"healthy,omitempty" doc:"Of trunks with a health check: whether the last one was answered"`
	Channels   int    `json:"channels" doc:"Calls through the trunk now"`
	Reason     string `json:"reason,omitempty" doc:"Why it is not registered or not healthy"`
}

// Responsibles finds the operator who is responsible for the client with that
// number: responsible.Finder.
type Responsibles interface {
	Responsible(ctx context.Context, account, number string, rule call.ResponsibleRule) (call.Responsible, error)
}

// Config is what an API is made of. All fields are needed unless they say
// otherwise.
type Config struct {
	Store Store
	// Responsible finds operators.
	Responsible Responsibles
	Calls       Calls
	Phones      Phones
	Queues      Queues
	Feed        *Feed
	Door        *access.Door
	// Recordings is the folder of a call's recording: recording.wav and
	// peaks.json are there once it is ready.
	Recordings func(callID string) string
	// Notices are operators'.
	Notices *notice.Shelf
	// Region is whose customs numbers in queries follow (ISO 3166-1).
	Region string
	// PublicURL is what links start with, without a slash at the end.
	PublicURL string
	// Backends is what is told to the addresses that packets name, and to webhooks.
	Backends Backends
	// Bitrix24 connects accounts with their portals.
	Bitrix24 Bitrix24
	// FreePBX is the one beside this server; nil: there is none.
	FreePBX FreePBX
	// Ready is nil while the server can take calls, otherwise why it cannot.
	Ready func() error
	// Metrics serves /metrics; MetricsAuth: with a key only.
	Metrics     http.Handler
	MetricsAuth bool
	// Version is the server's, for the document.
	Version string
	Logger  *slog.Logger
}

// API serves the doors. Make it with New.
type API struct {
	c       Config
	mux     *http.ServeMux
	api     huma.API
	encoder *encoder
	csrf    *http.CrossOriginProtection

	changing sync.Mutex    // of trunks and operators: one change at a time
	stopping chan struct{} // closed when the server is stopped: streams end
}

// New makes the API.
func New(c Config) *API {
	a := &API{c: c, mux: http.NewServeMux(), encoder: newEncoder(), csrf: http.NewCrossOriginProtection(), stopping: make(chan struct{})}
	a.api = humago.New(a.mux, a.document())
	a.api.UseMiddleware(a.guard)
	a.callbacks()
	a.v11()
	a.calls()
	a.responsible()
	a.queueLive()
	a.events()
	a.recordings()
	a.trunks()
	a.operators()
	a.notices()
	a.widgets()
	a.queues()
	a.routes()
	a.try()
	a.locations()
	a.deliveries()
	a.webhooks()
	a.bitrix24()
	a.freepbx()
	a.health()
	a.docs()
	return a
}

// Mux is where the API hangs its doors; the console adds its pages.
func (a *API) Mux() *http.ServeMux { return a.mux }

// Handler is everything hung on Mux, behind what all answers share.
func (a *API) Handler() http.Handler { return secure(a.logged(problemsOnly(a.mux))) }

// OpenAPI is the document of the API, as JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.api.OpenAPI().MarshalJSON() }

func (a *API) document() huma.Config {
	c := huma.DefaultConfig("Perezvon", a.c.Version)
	c.CreateHooks = nil // no $schema in bodies
	c.DocsPath = ""     // ours loads nothing from elsewhere
	c.SchemasPath = ""
	c.Transformers = []huma.Transformer{mend}
	c.RejectUnknownQueryParameters = true
	c.Info.Description = "Calls managers and clients, joins them, and tells what happened. Times are RFC 3339 in UTC with milliseconds; numbers are E.164 with +. " +
		"Errors are problem details (RFC 9457): `errors[].location` names the field. Lists take `limit` and `cursor` and answer `{items, next_cursor}`."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An API key with the right `read`, `calls` or `admin`; each includes the one before."},
	}
	c.Tags = []*huma.Tag{
		{Name: "callbacks", Description: "Call a manager, then the client, and join them."},
		{Name: "calls", Description: "What happened and is happening."},
		{Name: "events", Description: "Everything live."},
		{Name: "trunks", Description: "SIP routes to carriers and PBXes."},
		{Name: "operators", Description: "People with an extension, whose phones register here."},
		{Name: "notices", Description: "What callers hear who do not reach an operator. Operators record theirs by phone (`*600`)."},
		{Name: "widgets", Description: "The instruments that requests come through. What a packet leaves out is taken from the widget that it names, and what the widget leaves out from the server's defaults; the packet's `false` and 0 win, an empty text does not."},
		{Name: "queues", Description: "Where callers wait until an operator is free."},
		{Name: "routes", Description: "What is done with inbound calls: of the routes that match a call, the most specific one is taken, and its steps are done one after the other until one of them takes the call. What a queue or a route names must exist, and cannot be removed while it is named (409)."},
		{Name: "caller id", Description: "Which number either end of a callback is shown, by location. A location that ships is changed by a PUT of what is to differ, under its id; DELETE puts it back."},
		{Name: "deliveries", Description: "What the backends named in packets, and webhooks, are told."},
		{Name: "webhooks", Description: "Subscriptions to the events of all calls: signed POSTs, in order, tried again for a day and a half."},
		{Name: "integrations", Description: "The systems beside this one that are told of calls and ask for them."},
		{Name: "server", Description: "Its health."},
	}
	return c
}
