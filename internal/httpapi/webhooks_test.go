package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/store"
)

type hook struct {
	ID             string   `json:"id"`
	URL            string   `json:"url"`
	Events         []string `json:"events"`
	Directions     []string `json:"directions"`
	Description    string   `json:"description"`
	Enabled        bool     `json:"enabled"`
	DisabledReason string   `json:"disabled_reason"`
	Secret         string   `json:"secret"`
}

type hookPage struct {
	Items []hook  `json:"items"`
	Next  *string `json:"next_cursor"`
}

func TestWebhooksAreMadeSeenChangedAndRemoved(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	made := s.Do("POST", "/api/v1/webhooks", map[string]any{"url": "https://crm.example.com/in?token=1", "events": []string{"call.ended", "leg.*"}, "directions": []string{"inbound"}, "description": "CRM"})
	var h, got hook
	made.Into(t, &h)
	if made.Status != http.StatusCreated || made.Header.Get("Location") != "/api/v1/webhooks/"+h.ID || !strings.HasPrefix(h.Secret, "whsec_") || !h.Enabled || h.Directions[0] != "inbound" {
		t.Fatalf("%d %s", made.Status, made.Body)
	}
	// The secret is shown once.
	a := s.Do("GET", "/api/v1/webhooks/"+h.ID, nil)
	a.Into(t, &got)
	if a.Status != 200 || got.URL != h.URL || got.Secret != "" || strings.Contains(string(a.Body), "whsec_") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	var page hookPage
	s.Do("POST", "/api/v1/webhooks", map[string]any{"url": "https://other.example.com/", "events": []string{"*"}, "enabled": false}).Into(t, &got)
	if got.Enabled || got.Directions == nil {
		t.Errorf("%+v", got)
	}
	s.Do("GET", "/api/v1/webhooks?limit=1", nil).Into(t, &page)
	if len(page.Items) != 1 || page.Items[0].ID != h.ID || page.Next == nil {
		t.Fatalf("%+v", page)
	}
	s.Do("GET", "/api/v1/webhooks?limit=1&cursor="+*page.Next, nil).Into(t, &page)
	if len(page.Items) != 1 || page.Items[0].ID != got.ID || page.Next != nil {
		t.Errorf("%+v", page)
	}
	a = s.Do("PUT", "/api/v1/webhooks/"+h.ID, map[string]any{"url": "https://crm.example.com/new", "events": []string{"*"}})
	got = hook{}
	a.Into(t, &got)
	if a.Status != 200 || got.URL != "https://crm.example.com/new" || len(got.Directions) != 0 || got.Description != "" || strings.Contains(string(a.Body), "secret") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	var rotated struct {
		Secret string    `json:"secret"`
		EndsAt time.Time `json:"previous_ends_at"`
	}
	a = s.Do("POST", "/api/v1/webhooks/"+h.ID+"/rotate", nil)
	a.Into(t, &rotated)
	if d := time.Until(rotated.EndsAt); rotated.Secret == h.Secret || !strings.HasPrefix(rotated.Secret, "whsec_") || d < 23*time.Hour || d > 24*time.Hour {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do("DELETE", "/api/v1/webhooks/"+h.ID, nil); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, door := range []string{"GET ", "DELETE ", "POST /rotate", "POST /test"} {
		verb, rest, _ := strings.Cut(door, " ")
		if a := s.Do(verb, "/api/v1/webhooks/"+h.ID+rest, nil); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d %s", door, a.Status, a.Body)
		}
	}
}

func TestWhatIsWrongWithAWebhookIsA422ThatNamesTheField(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	for field, body := range map[string]any{
		"body.url":           map[string]any{"url": "http://127.0.0.1/", "events": []string{"*"}},
		"body.events":        map[string]any{"url": "https://example.com"},
		"body.events[0]":     map[string]any{"url": "https://example.com", "events": []string{"call.over"}},
		"body.directions[0]": map[string]any{"url": "https://example.com", "events": []string{"*"}, "directions": []string{"up"}},
		"body.secret":        map[string]any{"url": "https://example.com", "events": []string{"*"}, "secret": "mine"},
	} {
		if a := s.Do("POST", "/api/v1/webhooks", body); a.Status != http.StatusUnprocessableEntity || !strings.Contains(string(a.Body), `"`+field+`"`) {
			t.Errorf("%s: %d %s", field, a.Status, a.Body)
		}
	}
	var h hook
	s.Do("POST", "/api/v1/webhooks", map[string]any{"url": "https://example.com", "events": []string{"*"}}).Into(t, &h)
	for field, body := range map[string]any{
		"body.until":  map[string]any{"from": "2026-11-21T00:00:00Z", "until": "2026-11-20T00:00:00Z"},
		"body.cursor": map[string]any{"from": "2026-11-21T00:00:00Z", "until": "2026-11-22T00:00:00Z", "cursor": "?"},
	} {
		if a := s.Do("POST", "/api/v1/webhooks/"+h.ID+"/replay", body); a.Status != http.StatusUnprocessableEntity || !strings.Contains(string(a.Body), `"`+field+`"`) {
			t.Errorf("%s: %d %s", field, a.Status, a.Body)
		}
	}
	if a := s.Do("POST", "/api/v1/webhooks/"+h.ID+"/replay", map[string]any{}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("without a span: %d %s", a.Status, a.Body)
	}
}

func TestWebhooksAreForAdmins(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	key := s.Key(access.Calls)
	for _, door := range []string{"GET ", "POST ", "GET /x", "PUT /x", "DELETE /x", "POST /x/rotate", "POST /x/test", "POST /x/replay"} {
		verb, path, _ := strings.Cut(door, " ")
		if a := s.Do(verb, "/api/v1/webhooks"+path, nil, "Authorization", "Bearer "+key); a.Status != http.StatusForbidden {
			t.Errorf("%s: %d", door, a.Status)
		}
	}
}

func TestAWebhooksDeliveriesAreListedReadAndReplayed(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	var h hook
	s.Do("POST", "/api/v1/webhooks", map[string]any{"url": "https://crm.example.com/in?token=1", "events": []string{"call.*"}}).Into(t, &h)
	began := time.Now().Add(-time.Minute)
	id := s.Talk(began)
	type one struct {
		delivery
		Webhook string `json:"webhook"`
		Type    string `json:"type"`
		Copy    int    `json:"copy"`
		Body    struct {
			Data struct {
				Call struct {
					ID string `json:"id"`
				} `json:"call"`
			} `json:"data"`
		} `json:"body"`
	}
	deliveries := func(query string) []one {
		t.Helper()
		var page struct{ Items []one }
		s.Do("GET", "/api/v1/deliveries?"+query, nil).Into(t, &page)
		return page.Items
	}
	all := deliveries("webhook=" + h.ID)
	if len(all) != 2 || all[0].Type != "call.ended" || all[1].Type != "call.created" || all[0].Kind != "webhook" || all[0].Webhook != h.ID || all[0].Target != "https://crm.example.com/in" {
		t.Fatalf("%+v", all)
	}
	if n := len(deliveries("target=https://crm.example.com/in")); n != 2 {
		t.Errorf("%d by target", n)
	}
	if n := len(deliveries("target=https://crm.example.com/")) + len(deliveries("webhook=other")); n != 0 {
		t.Errorf("%d by other filters", n)
	}
	var d one
	s.Do("GET", "/api/v1/deliveries/"+all[0].ID, nil).Into(t, &d)
	if d.ID != all[0].ID || d.Body.Data.Call.ID != id {
		t.Errorf("%+v", d)
	}
	a := s.Do("POST", "/api/v1/deliveries/"+all[0].ID+"/replay", nil)
	a.Into(t, &d)
	if a.Status != http.StatusAccepted || d.ID == all[0].ID || d.Copy != 1 || d.Type != "call.ended" || d.State != "waiting" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	var replayed struct {
		Events int     `json:"events"`
		Next   *string `json:"next_cursor"`
	}
	span := map[string]any{"from": began.Add(-time.Second), "until": time.Now()}
	a = s.Do("POST", "/api/v1/webhooks/"+h.ID+"/replay", span)
	a.Into(t, &replayed)
	if a.Status != http.StatusAccepted || replayed.Events != 2 || replayed.Next != nil {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	span["missing"] = true
	s.Do("POST", "/api/v1/webhooks/"+h.ID+"/replay", span).Into(t, &replayed)
	if replayed.Events != 0 {
		t.Errorf("%d are missing", replayed.Events)
	}
	// What is off gets nothing.
	s.Do("PUT", "/api/v1/webhooks/"+h.ID, map[string]any{"url": h.URL, "events": h.Events, "enabled": false})
	for path, body := range map[string]any{"webhooks/" + h.ID: span, "deliveries/" + all[0].ID: nil} {
		if a := s.Do("POST", "/api/v1/"+path+"/replay", body); a.Status != http.StatusConflict || !strings.Contains(string(a.Body), "disabled") {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	for _, door := range []string{"GET ", "POST /replay"} {
		verb, rest, _ := strings.Cut(door, " ")
		if a := s.Do(verb, "/api/v1/deliveries/none"+rest, nil); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d %s", door, a.Status, a.Body)
		}
	}
	if a := s.Do("POST", "/api/v1/deliveries/"+all[0].ID+"/replay", nil, "Authorization", "Bearer "+s.Key(access.Read)); a.Status != http.StatusForbidden {
		t.Errorf("a reader may replay: %d", a.Status)
	}
}

func TestATestOfAWebhookTellsTheAnswer(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{OutboundAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	code := 200
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("webhook-signature") == "" {
			t.Error("not signed")
		}
		http.Error(w, "as you like", code)
	}))
	defer receiver.Close()
	var h hook
	s.Do("POST", "/api/v1/webhooks", map[string]any{"url": receiver.URL, "events": []string{"*"}}).Into(t, &h)
	for _, want := range []struct {
		code      int
		delivered bool
		error     string
	}{{200, true, ""}, {500, false, "500 Internal Server Error: as you like"}} {
		code = want.code
		var tested struct {
			Delivered bool
			Status    *int
			Error     string
		}
		a := s.Do("POST", "/api/v1/webhooks/"+h.ID+"/test", nil)
		a.Into(t, &tested)
		if a.Status != 200 || tested.Delivered != want.delivered || tested.Status == nil || *tested.Status != want.code || tested.Error != want.error {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
}

func TestAnAccountHasSoManyWebhooks(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	body := map[string]any{"url": "https://example.com", "events": []string{"*"}}
	for range store.MaxWebhooks {
		if a := s.Do("POST", "/api/v1/webhooks", body); a.Status != http.StatusCreated {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	if a := s.Do("POST", "/api/v1/webhooks", body); a.Status != http.StatusConflict {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
