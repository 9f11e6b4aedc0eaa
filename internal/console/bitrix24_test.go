package console_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/store"
)

// portal opens a portal on this machine; fails is what goes wrong there.
func portal(t *testing.T) (p *bitrixtest.Portal, fails *atomic.Pointer[bitrixtest.Trouble]) {
	t.Helper()
	fails = new(atomic.Pointer[bitrixtest.Trouble])
	p = bitrixtest.New("", bitrixtest.User{ID: 11, Extension: "101"})
	p.Trouble = func(int, string) *bitrixtest.Trouble { return fails.Load() }
	server := p.Serve()
	t.Cleanup(server.Close)
	return p, fails
}

// untold stores what a portal was not told of a call.
func untold(t *testing.T, s *httpapitest.Server) {
	t.Helper()
	id := s.Talk(time.Now().Add(-time.Minute))
	for seq, change := range []func(*store.Delivery){func(*store.Delivery) {}, func(d *store.Delivery) {
		d.State, d.Tries, d.LastError, d.NextTryAt = store.DeliveryDead, 1, "telephony.externalcall.register: 403 WRONG_AUTH_TYPE <denied>", time.Time{}
	}} {
		d := store.Delivery{
			Lane: store.Lane{Account: directory.DefaultAccount, CallID: id, Kind: bitrix24.Kind}, ID: id + string(rune('a'+seq)), Seq: int64(seq + 1),
			URL: "bitrix24:telephony.externalCall.register", Body: []byte("{}"), CreatedAt: time.Now().Add(time.Duration(seq) * time.Second), State: store.DeliveryWaiting,
		}
		if _, err := s.Store.ReplayDeliveries(t.Context(), []store.Delivery{d}, false, func(context.Context, *store.Tx, store.Lane) error { return nil }); err != nil {
			t.Fatal(err)
		}
		d.NextTryAt = d.CreatedAt
		if change(&d); d.State != store.DeliveryWaiting {
			if err := s.Store.SettleDelivery(t.Context(), d, false); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestThePageOfBitrix24(t *testing.T) {
	s := serve(t)
	p, _ := portal(t)
	_, admin := signIn(t, s, s.AdminKey)
	_, reader := signIn(t, s, s.Key(access.Read))
	page := func(cookie, query string) string {
		t.Helper()
		return string(html(s, "/bitrix24"+query, "Cookie", cookie).Body)
	}
	has := func(page string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(page, want) {
				t.Errorf("lacks %q:\n%s", want, page)
			}
		}
	}
	has(page(admin, "?lang=en"), "not connected", "Incoming webhook,", s.URL+"/api/v1/integrations/bitrix24/events", "Bitrix24 cannot reach this address")
	if got := page(reader, "?lang=en"); !strings.Contains(got, "An administrator can connect it") || strings.Contains(got, "data-deed") {
		t.Error("a reader gets the form:", got)
	}

	if a := s.Do("PUT", "/api/v1/integrations/bitrix24", map[string]any{"webhook_url": p.WebhookURL(), "line": "74950000000", "crm_create": false}); a.Status != http.StatusOK {
		t.Fatal(string(a.Body))
	}
	untold(t, s)
	got := page(admin, "?lang=ru")
	has(got, "подключён", "входящий вебхук", `value="74950000000"`, "щелчком по номеру там не позвонить", `name="show_cards" checked`,
		`href="/deliveries?kind=bitrix24&amp;state=waiting">1<`, `href="/deliveries?kind=bitrix24&amp;state=dead">1<`, "WRONG_AUTH_TYPE &lt;denied&gt;",
		`data-hint="WRONG_AUTH_TYPE">Этот портал`, `data-hint="NO_AUTH_FOUND" hidden>`)
	if strings.Contains(got, "abcdefghij123456") || strings.Contains(got, `name="crm_create" checked`) {
		t.Error("shows the secret, or a choice that was not made")
	}
	log := string(html(s, "/deliveries?kind=bitrix24&state=dead&lang=en", "Cookie", admin).Body)
	if strings.Count(log, "data-delivery=") != 1 || !strings.Contains(log, "Only to <b>Bitrix24</b>") {
		t.Error(log)
	}
	if got := page(reader, ""); strings.Contains(got, "data-deed") || !strings.Contains(got, `id="outbox"`) {
		t.Error("a reader gets the form, or not how it fares:", got)
	}
}

// An administrator connects a portal, tests it, hears what is wrong in words,
// changes a setting without the secret, and disconnects, in a browser.
func TestBitrix24InTheBrowser(t *testing.T) {
	s := serve(t)
	p, fails := portal(t)
	ctx := browse(t)
	signInAt(t, ctx, s, "/bitrix24", s.AdminKey)
	picture(t, ctx, "bitrix24-new")

	write(t, ctx, "[name=webhook_url]", "https://example.com/")
	click(t, ctx, "#connection .main")
	shows(t, ctx, `document.querySelector("[name=webhook_url][aria-invalid] + .wrong")?.textContent.includes("want the address of an incoming webhook")`)
	picture(t, ctx, "bitrix24-wrong")
	click(t, ctx, "[value=application]")
	shows(t, ctx, `document.querySelector("[name=client_id]").checkVisibility() && !document.querySelector("[name=webhook_url]").checkVisibility()`)
	picture(t, ctx, "bitrix24-application")
	click(t, ctx, "[value=webhook]")
	write(t, ctx, "[name=webhook_url]", p.WebhookURL())
	write(t, ctx, "[name=line]", "74950000000")
	click(t, ctx, "[name=crm_create]")
	click(t, ctx, "#connection .main")
	shows(t, ctx, `document.querySelector("h1 .status").textContent === "connected" && document.getElementById("notice").textContent.startsWith("Saved")`)

	click(t, ctx, "#test")
	shows(t, ctx, `document.querySelector("output.good")?.textContent.startsWith("It works, as user 1, in ")`)
	untold(t, s)
	fails.Store(&bitrixtest.NoAuth)
	open(t, ctx, s.URL+"/bitrix24")
	click(t, ctx, "#test")
	shows(t, ctx, `document.querySelector("output.bad")?.textContent === "It does not work: profile: 401 NO_AUTH_FOUND Wrong authorization data" && document.querySelector("[data-hint=NO_AUTH_FOUND]").checkVisibility()`)
	picture(t, ctx, "bitrix24")
	fails.Store(nil)

	write(t, ctx, "[name=line]", "74950000001")
	click(t, ctx, "#connection .main")
	shows(t, ctx, `document.querySelector("[name=line]").value === "74950000001" && document.getElementById("notice").textContent.startsWith("Saved")`)
	v, err := s.CRM.Connection(t.Context(), directory.DefaultAccount)
	if err != nil || v.Line != "74950000001" || v.CRMCreate || !v.ShowCards || v.State != bitrix24.StateConnected || v.DefaultUserID != bitrixtest.Owner {
		t.Errorf("%+v %v", v, err)
	}

	t.Run("at phone width", func(t *testing.T) {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(390, 844)); err != nil {
			t.Fatal(err)
		}
		open(t, ctx, s.URL+"/bitrix24?lang=ru")
		shows(t, ctx, `document.querySelector("h1").textContent.startsWith("Битрикс24") && document.documentElement.scrollWidth <= 390`)
		picture(t, ctx, "bitrix24-phone-ru")
	})
	click(t, ctx, `[data-deed="DELETE integrations/bitrix24"]`)
	click(t, ctx, `[data-deed="DELETE integrations/bitrix24"]`)
	shows(t, ctx, `document.querySelector("h1 .status").textContent === "не подключён"`)
}
