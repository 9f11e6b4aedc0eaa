package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/webhook"
)

// deliveriesPath is the page of webhooks and deliveries.
const deliveriesPath = "/deliveries"

type deliveriesData struct {
	// Webhooks are shown to administrators. Admin tells that somebody is one.
	Admin    bool
	Webhooks []webhookRow
	// Directions are those of calls that a webhook may be narrowed to.
	Directions []call.Direction
	// Only names whose deliveries alone are shown; empty: everybody's. All is the
	// address of everybody's.
	Only, All  string
	Views      []view
	Deliveries []deliveryRow
	First      bool
	Newest     string // address of the first page
	Older      string // address of the next page, empty on the last
}

// view is one way to look at the deliveries.
type view struct {
	Text    string // key of a text
	Address string
	Chosen  bool
}

type webhookRow struct {
	store.Webhook
	Target string
	Tone   string
	State  string // key of a text
	Log    string // address of its deliveries
	Chosen bool
}

type deliveryRow struct {
	ID, CallID string
	At         time.Time
	What       string // the type of what is told
	Target     string
	Webhook    string // description or id of the webhook it is for
	State      string // key of a text
	Tone       string
	Tries      int
	Error      string
	Next       time.Time // of the next try; zero: none
	// Retry and Replay tell which buttons it has.
	Retry, Replay bool
}

// deliveries shows what is told to backends and webhooks, and how it goes.
func (c *Console) deliveries(w http.ResponseWriter, r *http.Request) {
	who, ok := c.enter(w, r, "")
	if !ok {
		return
	}
	data, err := c.deliveriesOf(r, who)
	var bad invalid.Error
	switch {
	case errors.As(err, &bad):
		http.Redirect(w, r, deliveriesPath, http.StatusSeeOther)
		return
	case err != nil:
		c.broken(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "deliveries", data)
}

func (c *Console) deliveriesOf(r *http.Request, who access.Identity) (deliveriesData, error) {
	q := r.URL.Query()
	state, hook, kind, cursor := q.Get("state"), q.Get("webhook"), "", q.Get("cursor")
	if q.Get("kind") == bitrix24.Kind {
		hook, kind = "", bitrix24.Kind
	}
	if !slices.Contains([]string{store.DeliveryWaiting, store.DeliveryDone, store.DeliveryDead}, state) {
		state = ""
	}
	data := deliveriesData{Admin: who.May(access.Admin, ""), First: cursor == "", All: deliveriesPath, Directions: []call.Direction{call.Inbound, call.Outbound, call.Callback, call.Internal}, Newest: deliveriesAt(state, hook, kind, "")}
	for _, s := range []string{"", store.DeliveryWaiting, store.DeliveryDead, store.DeliveryDone} {
		data.Views = append(data.Views, view{"view." + s, deliveriesAt(s, hook, kind, ""), s == state})
	}
	hooks, err := c.c.Store.Webhooks(r.Context(), who.Account)
	if err != nil {
		return data, err
	}
	names := make(map[string]string)
	for _, h := range hooks {
		names[h.ID] = first(h.Description, h.ID)
		if data.Admin {
			data.Webhooks = append(data.Webhooks, rowOfWebhook(h, hook))
		}
	}
	filter := store.DeliveryFilter{State: state, Kind: kind}
	if hook != "" {
		filter.Kind = store.WebhookKinds + hook
	}
	if data.Only = names[hook]; kind != "" {
		data.Only = "Bitrix24"
	}
	list, next, err := c.c.Store.Deliveries(r.Context(), who.Account, store.Page{Limit: perPage, Cursor: cursor}, filter)
	if err != nil {
		return data, err
	}
	if next != "" {
		data.Older = deliveriesAt(state, hook, kind, next)
	}
	may := who.May(access.Calls, "")
	for _, d := range list {
		data.Deliveries = append(data.Deliveries, rowOfDelivery(d, names, may))
	}
	return data, nil
}

// deliveriesAt is the address of the page with a state, a webhook, a kind and a
// cursor, each of which may be empty.
func deliveriesAt(state, hook, kind, cursor string) string {
	q := make(url.Values)
	for name, value := range map[string]string{"state": state, "webhook": hook, "kind": kind, "cursor": cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return (&url.URL{Path: deliveriesPath, RawQuery: q.Encode()}).String()
}

func rowOfWebhook(h store.Webhook, chosen string) webhookRow {
	row := webhookRow{Webhook: h, Target: withoutQuery(h.URL), Tone: "good", State: "webhook.on", Log: deliveriesAt("", h.ID, "", ""), Chosen: h.ID == chosen}
	switch {
	case h.DisabledReason != "":
		row.Tone, row.State = "bad", "webhook.disabled"
	case !h.On():
		row.Tone, row.State = "plain", "webhook.off"
	case !h.FailingSince.IsZero():
		row.Tone, row.State = "live", "webhook.failing"
	}
	return row
}

// rowOfDelivery shows a delivery. may: who looks may try it again.
func rowOfDelivery(d store.Delivery, hooks map[string]string, may bool) deliveryRow {
	row := deliveryRow{
		ID: d.ID, CallID: d.CallID, At: d.CreatedAt, What: first(d.Type(), d.Kind), Target: withoutQuery(d.URL), State: "delivery." + d.State,
		Tries: d.Tries, Error: d.LastError, Next: d.NextTryAt,
	}
	if id := webhook.SubscriptionOf(d.Kind); id != "" {
		row.Webhook = first(hooks[id], id)
	}
	switch d.State {
	case store.DeliveryDone:
		row.Tone = "good"
	case store.DeliveryDead:
		row.Tone = "bad"
	default:
		row.Tone = "live"
	}
	row.Retry = may && (d.State == store.DeliveryDead || d.State == store.DeliveryWaiting && d.Tries > 0)
	row.Replay = may && d.State != store.DeliveryWaiting && webhook.Replayable(d.Kind)
	return row
}

// withoutQuery is an address without what may be a secret.
func withoutQuery(address string) string {
	short, _, _ := strings.Cut(address, "?")
	return short
}
