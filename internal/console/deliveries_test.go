package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/store"
)

// hook makes a webhook and gives its id.
func hook(t *testing.T, s *httpapitest.Server, url, description string, events ...string) string {
	t.Helper()
	var made struct{ ID string }
	a := s.Do("POST", "/api/v1/webhooks", map[string]any{"url": url, "description": description, "events": events})
	if a.Into(t, &made); a.Status != http.StatusCreated {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return made.ID
}

// settle lets the newest delivery to a webhook have become that.
func settle(t *testing.T, s *httpapitest.Server, webhook string, change func(*store.Delivery)) store.Delivery {
	t.Helper()
	list, _, err := s.Store.Deliveries(t.Context(), directory.DefaultAccount, store.Page{Limit: 1}, store.DeliveryFilter{Kind: store.WebhookKinds + webhook, State: store.DeliveryWaiting})
	if err != nil || len(list) == 0 {
		t.Fatal("nothing waits", err)
	}
	d := list[0]
	change(&d)
	if err := s.Store.SettleDelivery(t.Context(), d, false); err != nil {
		t.Fatal(err)
	}
	return d
}

func delivered(d *store.Delivery) {
	d.State, d.Tries, d.LastStatus, d.NextTryAt, d.DeliveredAt = store.DeliveryDone, 1, 200, time.Time{}, time.Now()
}

func dead(d *store.Delivery) {
	d.State, d.Tries, d.LastError, d.NextTryAt = store.DeliveryDead, 13, "500 <b>oops</b>", time.Time{}
}

func TestThePageOfDeliveriesShowsWhatWaitsAndWhy(t *testing.T) {
	s := serve(t)
	id := hook(t, s, "https://crm.example.com/in?token=secret", "CRM <i>", "call.*")
	other := hook(t, s, "https://other.example.com/", "", "*")
	s.Talk(time.Now().Add(-time.Minute))
	settle(t, s, id, dead)
	failed := settle(t, s, id, func(d *store.Delivery) { d.Tries, d.LastError = 2, "no answer in time" })
	if err := s.Store.DisableWebhook(t.Context(), directory.DefaultAccount, other, "the receiver has answered 410 Gone"); err != nil {
		t.Fatal(err)
	}

	_, cookie := signIn(t, s, s.AdminKey)
	page := string(html(s, "/deliveries?lang=en&webhook="+id, "Cookie", cookie).Body)
	for _, want := range []string{
		"CRM &lt;i&gt;", "https://crm.example.com/in", "call.ended", "call.created", "given up", "500 &lt;b&gt;oops&lt;/b&gt;", "next try", "no answer in time",
		"switched off by the server", "the receiver has answered 410 Gone", `/retry"`, `/replay"`, `/test"`, `{"enabled":true}`, `{"enabled":false}`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if strings.Contains(page, "token=") || strings.Count(page, "data-delivery=") != 2 {
		t.Error("shows the query of an address, or another webhook's deliveries")
	}
	if waiting := string(html(s, "/deliveries?lang=ru&state=waiting", "Cookie", cookie).Body); strings.Count(waiting, "data-delivery=") != 1 ||
		!strings.Contains(waiting, failed.ID) || !strings.Contains(waiting, "следующая попытка") {
		t.Error("what waits:", waiting)
	}

	// Who may only read sees the log, and no button; webhooks are an administrator's.
	_, cookie = signIn(t, s, s.Key(access.Read))
	page = string(html(s, "/deliveries", "Cookie", cookie).Body)
	if !strings.Contains(page, "call.ended") || strings.Contains(page, "data-deed") || strings.Contains(page, "data-keep") || strings.Contains(page, "410 Gone") {
		t.Error(page)
	}
	if a := html(s, "/deliveries"); a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/login?next=/deliveries" {
		t.Errorf("without a key: %d", a.Status)
	}
	if a := html(s, "/deliveries?cursor=nonsense", "Cookie", cookie); a.Status != http.StatusSeeOther {
		t.Errorf("a bad cursor: %d", a.Status)
	}
}

func TestThePageOfDeliveriesHasPages(t *testing.T) {
	s := serve(t)
	hook(t, s, "https://crm.example.com/", "", "*")
	for range 4 {
		s.Talk(time.Now().Add(-time.Minute)) // 20 events each
	}
	_, cookie := signIn(t, s, s.AdminKey)
	first := string(html(s, "/deliveries?lang=en", "Cookie", cookie).Body)
	_, rest, found := strings.Cut(first, `<a href="/deliveries?cursor=`)
	cursor, _, _ := strings.Cut(rest, `"`)
	second := string(html(s, "/deliveries?lang=en&cursor="+cursor, "Cookie", cookie).Body)
	if !found || strings.Count(first, "data-delivery=") != 50 || strings.Count(second, "data-delivery=") != 30 || strings.Contains(second, "Older") {
		t.Errorf("%d and %d", strings.Count(first, "data-delivery="), strings.Count(second, "data-delivery="))
	}
}

// The buttons in a browser: a test tells the answer, a retry and a replay make
// the delivery wait, a webhook is switched off and on.
func TestDeliveriesInTheBrowser(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			http.Error(w, "out of order", http.StatusInternalServerError)
		}
	}))
	defer receiver.Close()
	s := httpapitest.New(t, httpapitest.Options{
		OutboundAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Register:      register(t),
	})
	well := hook(t, s, receiver.URL+"/calls", "CRM", "call.ended", "recording")
	broken := hook(t, s, receiver.URL+"/broken", "Отчёты", "call.created")
	began := time.Now().Add(-time.Minute)
	s.Append(call.Event{CallID: s.Talk(began), Type: call.RecordingState, Recording: call.RecordingReady, DurationS: 20})
	ok := settle(t, s, well, delivered)
	lost := settle(t, s, broken, func(d *store.Delivery) {
		dead(d)
		d.LastError = "500 Internal Server Error: out of order"
	})
	if err := s.Store.WebhookFares(t.Context(), directory.DefaultAccount, broken, began); err != nil {
		t.Fatal(err)
	}

	ctx := browse(t)
	signInAt(t, ctx, s, "/deliveries", s.AdminKey)
	click := func(selector string) {
		t.Helper()
		click(t, ctx, selector)
	}
	shows(t, ctx, `location.pathname === "/deliveries" && document.querySelectorAll("#webhooks tbody tr").length === 2`)
	click(`[data-webhook="` + well + `"] [data-deed$="/test"]`)
	shows(t, ctx, `document.querySelector('[data-webhook="`+well+`"] output').textContent.startsWith("✓ 200, ")`)
	click(`[data-webhook="` + broken + `"] [data-deed$="/test"]`)
	shows(t, ctx, `document.querySelector('[data-webhook="`+broken+`"] output').textContent === "✗ 500 Internal Server Error: out of order"`)
	picture(t, ctx, "deliveries")

	row := func(d store.Delivery) string { return `[data-delivery="` + d.ID + `"]` }
	click(row(lost) + ` [data-deed$="/retry"]`)
	shows(t, ctx, `document.querySelector('`+row(lost)+` .status').textContent === "waiting"`)
	before := `document.querySelectorAll("#deliveries tbody tr").length`
	shows(t, ctx, before+` === 3`)
	click(row(ok) + ` [data-deed$="/replay"]`)
	shows(t, ctx, before+` === 4`)

	click(`[data-webhook="` + well + `"] [data-deed^="PUT"]`)
	shows(t, ctx, `document.querySelector('[data-webhook="`+well+`"] .status').textContent === "off"`)
	click(row(ok) + ` [data-deed$="/replay"]`)
	shows(t, ctx, `!document.getElementById("problem").hidden && document.getElementById("problem").textContent.includes("disabled")`)
	click(`[data-webhook="` + well + `"] [data-deed^="PUT"]`)
	shows(t, ctx, `document.querySelector('[data-webhook="`+well+`"] .status').textContent === "working"`)

	// A new one: its secret is shown once. It is rotated and removed.
	click("details summary")
	write(t, ctx, "[name=url]", "ftp://crm.example.com/")
	click("details button")
	shows(t, ctx, `document.querySelector("[name=url][aria-invalid] + .wrong")?.textContent.length > 0`)
	write(t, ctx, "[name=url]", receiver.URL+"/new")
	write(t, ctx, "[name=events]", "call.*, recording")
	click(`[name=directions][value=inbound]`)
	picture(t, ctx, "webhook-new")
	click("details button")
	shows(t, ctx, `/whsec_/.test(document.getElementById("notice").textContent) && document.querySelectorAll("#webhooks tbody tr").length === 3`)
	picture(t, ctx, "webhook-secret")
	made, err := s.Store.Webhooks(t.Context(), directory.DefaultAccount)
	if err != nil || len(made) != 3 {
		t.Fatal(made, err)
	}
	i := slices.IndexFunc(made, func(w store.Webhook) bool { return strings.HasSuffix(w.URL, "/new") })
	if w := made[i]; !slices.Equal(w.Events, []string{"call.*", "recording"}) || !slices.Equal(w.Directions, []call.Direction{call.Inbound}) {
		t.Errorf("%+v", w)
	}
	fresh := `[data-webhook="` + made[i].ID + `"]`
	click(fresh + ` [data-deed$="/rotate"]`)
	shows(t, ctx, `"armed" in document.querySelector('`+fresh+` [data-deed$="/rotate"]').dataset && document.getElementById("notice").textContent.includes("whsec_")`)
	first, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.getElementById("notice").textContent`))
	if err != nil {
		t.Fatal(err)
	}
	click(fresh + ` [data-deed$="/rotate"]`)
	shows(t, ctx, `document.getElementById("notice").textContent.includes("whsec_") && document.getElementById("notice").textContent !== `+strconv.Quote(first))
	click(fresh + ` [data-deed^="DELETE"]`)
	click(fresh + ` [data-deed^="DELETE"]`)
	shows(t, ctx, `document.querySelectorAll("#webhooks tbody tr").length === 2`)

	t.Run("at phone width", func(t *testing.T) {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(390, 844)); err != nil {
			t.Fatal(err)
		}
		open(t, ctx, s.URL+"/deliveries?lang=ru")
		shows(t, ctx, `document.querySelector("h1").textContent === "Вебхуки" && document.documentElement.scrollWidth <= 390`)
		picture(t, ctx, "deliveries-phone-ru")
	})
}
