package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// "Other systems get the same through signed webhooks": a webhook is told of
// calls that do not name it, and gets by a replay what it missed.
func TestAWebhookIsToldOfCallsAndOfThoseItMissed(t *testing.T) {
	t.Parallel()
	came := make(chan told, 1000)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil {
			came <- told{r.URL.Path, r.Header.Clone(), body}
		}
	}))
	defer receiver.Close()
	srv := start(t, serverproc.Options{Args: []string{"--outbound-allow", "127.0.0.0/8"}})
	srv.trunk("managers", peers.Answerer{Refuse: 503, NoRinging: true}.Start(t))
	srv.trunk("clients", peers.Answerer{Refuse: 503, NoRinging: true}.Start(t))
	var hook struct{ ID, Secret string }
	settings := map[string]any{"url": receiver.URL, "events": []string{"call.ended"}}
	must(t, srv.API.Do(limit(t), "POST", "/api/v1/webhooks", settings, &hook))

	next := func(callID string) (id string) {
		t.Helper()
		select {
		case r := <-came:
			verify(t, r, hook.Secret)
			var body struct {
				Type string
				Data struct {
					Event call.Event
					Call  struct {
						ID     string
						Status call.Status
					}
				}
			}
			must(t, json.Unmarshal(r.body, &body))
			if d := body.Data; body.Type != "call.ended" || d.Event.CallID != callID || d.Call.ID != callID || d.Call.Status != call.ManagerTrunkFailure {
				t.Errorf("%s", r.body)
			}
			return r.Get("webhook-id")
		case <-time.After(patience):
			t.Fatal("nothing came")
			return ""
		}
	}
	fail := func() string {
		t.Helper()
		a := srv.callback(order(nil))
		srv.expect(a.CallID, call.ManagerTrunkFailure)
		return a.CallID
	}
	begin := time.Now()
	first := fail()
	delivery := next(first)

	enable := func(on bool) {
		t.Helper()
		settings["enabled"] = on
		must(t, srv.API.Do(limit(t), "PUT", "/api/v1/webhooks/"+hook.ID, settings, nil))
	}
	enable(false)
	missed := fail()
	enable(true)
	var replayed struct{ Events int }
	span := map[string]any{"from": begin, "until": time.Now().Add(time.Second), "missing": true}
	must(t, srv.API.Do(limit(t), "POST", "/api/v1/webhooks/"+hook.ID+"/replay", span, &replayed))
	if replayed.Events != 1 {
		t.Errorf("%d events are told anew, want the one that was missed", replayed.Events)
	}
	next(missed)

	must(t, srv.API.Do(limit(t), "POST", "/api/v1/deliveries/"+delivery+"/replay", nil, nil))
	if again := next(first); again == delivery {
		t.Error("a replay has the id of the first")
	}
}
