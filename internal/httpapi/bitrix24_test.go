package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/store"
)

const crmPath = "/api/v1/integrations/bitrix24"

// portal opens a portal on this machine: 101 is user 11 there.
func portal(t *testing.T) (p *bitrixtest.Portal, address string) {
	t.Helper()
	p = bitrixtest.New("", bitrixtest.User{ID: 11, Extension: "101"}, bitrixtest.User{ID: 12, Extension: "999"})
	server := p.Serve()
	t.Cleanup(server.Close)
	return p, server.URL
}

// report posts an event as a portal does, and returns the answer's status.
func report(t *testing.T, s *httpapitest.Server, form url.Values) int {
	t.Helper()
	res, err := http.PostForm(s.URL+crmPath+"/events", form) //nolint:noctx // the server is the test's own
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

type connection struct {
	Kind, Portal, State string
	DefaultUserID       int64 `json:"default_user_id"`
	HasToken            bool  `json:"has_application_token"`
	CRMCreate           bool  `json:"crm_create"`
	Notes               []string
}

func TestAPortalIsConnectedByWebhook(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	p, address := portal(t)
	if r := s.Do("GET", crmPath, nil); r.Status != 404 {
		t.Errorf("before: %d", r.Status)
	}
	var got connection
	s.Do("PUT", crmPath, map[string]any{"webhook_url": p.WebhookURL(), "crm_create": false, "application_token": bitrixtest.ApplicationToken}).Into(t, &got)
	r := s.Do("GET", crmPath, nil)
	r.Into(t, &got)
	if got.Kind != "webhook" || got.Portal != address || got.State != "connected" || got.DefaultUserID != bitrixtest.Owner || got.CRMCreate || !got.HasToken || len(got.Notes) != 0 {
		t.Errorf("%+v", got)
	}
	for _, secret := range []string{"abcdefghij123456", bitrixtest.ApplicationToken} {
		if strings.Contains(string(r.Body), secret) {
			t.Errorf("a secret is shown: %s", r.Body)
		}
	}
	if r := s.Do("DELETE", crmPath, nil); r.Status != 204 {
		t.Errorf("delete: %d", r.Status)
	}
	if r := s.Do("GET", crmPath, nil); r.Status != 404 {
		t.Errorf("after: %d", r.Status)
	}
}

func TestWhatIsWrongWithAConnectionNamesTheField(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	p, address := portal(t)
	for field, body := range map[string]map[string]any{
		"webhook_url":       {},
		"webhook_url ":      {"webhook_url": "not an address"},
		"webhook_url  ":     {"webhook_url": "https://example.bitrix24.ru/"},
		"webhook_url   ":    {"webhook_url": "http://example.bitrix24.ru/rest/1/abcdef/"}, // the secret in clear
		"webhook_url    ":   {"webhook_url": address + "/rest/1/wrong/"},
		"webhook_url     ":  {"webhook_url": p.WebhookURL(), "client_id": "local.1"},
		"webhook_url      ": {"webhook_url": "https://10.0.0.1/rest/1/abcdef/"}, // a private network that is not listed
		"portal":            {"client_id": "local.1", "client_secret": "x"},
		"client_secret":     {"client_id": "local.1", "portal": address},
		"refresh_token":     {"client_id": bitrixtest.ClientID, "client_secret": "wrong", "portal": address, "oauth_server": address, "refresh_token": "x"},
	} {
		field = strings.TrimSpace(field)
		if r := s.Do("PUT", crmPath, body); r.Status != 422 || !strings.Contains(string(r.Body), `"body.`+field+`"`) {
			t.Errorf("%v: %d %s", body, r.Status, r.Body)
		}
	}
	if r := s.Do("GET", crmPath, nil); r.Status != 404 {
		t.Errorf("something was kept: %s", r.Body)
	}
}

// An application waits for its installation; the portal then posts the tokens,
// and is asked whether they are its own. Events are bound and the line is made.
func TestAnApplicationIsInstalled(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	p, address := portal(t)
	settings := map[string]any{"portal": address + "/", "client_id": bitrixtest.ClientID, "client_secret": bitrixtest.ClientSecret, "oauth_server": address, "line": "74950000000"}
	var got connection
	s.Do("PUT", crmPath, settings).Into(t, &got)
	if got.State != "waiting_for_installation" || got.Kind != "application" {
		t.Errorf("%+v", got)
	}
	form := p.Install()
	forged := url.Values{}
	for name, values := range form {
		forged[name] = values
	}
	forged["auth[access_token]"] = []string{"forged"}
	if status := report(t, s, forged); status != 403 {
		t.Errorf("forged tokens: %d", status)
	}
	if status := report(t, s, form); status != 200 {
		t.Fatalf("the installation: %d", status)
	}
	r := s.Do("GET", crmPath, nil)
	r.Into(t, &got)
	if got.State != "connected" || !got.HasToken || got.DefaultUserID != bitrixtest.Owner {
		t.Errorf("%+v", got)
	}
	for _, secret := range []string{bitrixtest.ClientSecret, form.Get("auth[refresh_token]"), form.Get("auth[access_token]"), bitrixtest.ApplicationToken} {
		if strings.Contains(string(r.Body), secret) {
			t.Errorf("a secret is shown: %s", r.Body)
		}
	}
	if h := p.Handlers(); h["ONEXTERNALCALLSTART"] != s.URL+crmPath+"/events" || h["ONEXTERNALCALLBACKSTART"] != s.URL+crmPath+"/events" || h["ONAPPUNINSTALL"] == "" {
		t.Errorf("%v", h)
	}
	// The same settings again, without the secrets: they stay, tokens are
	// renewed when they have expired, and what is there already is no error.
	p.ExpireToken()
	delete(settings, "client_secret")
	s.Do("PUT", crmPath, settings).Into(t, &got)
	if got.State != "connected" || p.Renewals() != 1 {
		t.Errorf("%+v after %d renewals", got, p.Renewals())
	}
	if status := report(t, s, url.Values{"event": {"ONAPPUNINSTALL"}, "auth[application_token]": {bitrixtest.ApplicationToken}}); status != 200 {
		t.Errorf("the removal: %d", status)
	}
	s.Do("GET", crmPath, nil).Into(t, &got)
	if got.State != "waiting_for_installation" || got.HasToken {
		t.Errorf("after the removal: %+v", got)
	}
}

// «Click-to-call»: the operator who is that user is called, then the client;
// once, however often the portal reports it.
func TestAClickInThePortalCallsTheOperatorAndThenTheClient(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	p, _ := portal(t)
	s.Do("PUT", crmPath, map[string]any{"webhook_url": p.WebhookURL(), "application_token": bitrixtest.ApplicationToken})
	_, form := p.Click(11, "+79161234567")
	for range 2 {
		if status := report(t, s, form); status != 200 {
			t.Fatalf("%d", status)
		}
	}
	a := <-s.Started
	if len(a.Packet.Managers) != 1 || a.Packet.Managers[0].SIP != "101" || a.Packet.Client != "+79161234567" {
		t.Errorf("%+v", a.Packet)
	}
	select {
	case again := <-s.Started:
		t.Errorf("called twice: %+v", again)
	default:
	}
	if status := report(t, s, url.Values{"event": {"ONEXTERNALCALLSTART"}, "auth[application_token]": {"guessed"}}); status != 403 {
		t.Errorf("a guessed token: %d", status)
	}
	_, nobody := p.Click(12, "+79161234567")
	if status := report(t, s, nobody); status != 422 {
		t.Errorf("a user who is no operator: %d", status)
	}
	// It stands in the list of calls all the same, with the reason.
	calls, _, err := s.Store.Calls(t.Context(), directory.DefaultAccount, store.Page{Limit: 10}, store.CallFilter{Client: "+79161234567"})
	if err != nil || len(calls) != 2 || calls[0].Status != call.NotAllowed {
		t.Errorf("%+v, %v", calls, err)
	}
}

// «Callback from Bitrix24»: by the widget that is set, or the one named like the
// line.
func TestAFormOfThePortalOrdersACallback(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	p, _ := portal(t)
	for _, name := range []string{"form", "7"} {
		s.Do("PUT", "/api/v1/widgets/"+name, map[string]any{"managers": "101", "trunk": "main"})
	}
	s.Do("PUT", crmPath, map[string]any{"webhook_url": p.WebhookURL(), "application_token": bitrixtest.ApplicationToken})
	if status := report(t, s, p.CallbackForm("+79161234567", "7", "Заказан звонок с сайта")); status != 200 {
		t.Fatal(status)
	}
	if a := <-s.Started; a.Packet.Widget != "7" || a.Packet.Greeting != "Заказан звонок с сайта" || a.Packet.Client != "+79161234567" {
		t.Errorf("%+v", a.Packet)
	}
	s.Do("PUT", crmPath, map[string]any{"webhook_url": p.WebhookURL(), "callback_widget": "form"})
	if status := report(t, s, p.CallbackForm("+79161234568", "7", "")); status != 200 {
		t.Fatal(status)
	}
	if a := <-s.Started; a.Packet.Widget != "form" {
		t.Errorf("%+v", a.Packet)
	}
}
