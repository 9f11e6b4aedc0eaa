package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
	"github.com/perezvon/perezvon/internal/webhook"
)

// told is a request that a backend got.
type told struct {
	path string
	http.Header
	body []byte
}

// log_url is told as soon as the call exists, events_url each event in order,
// status_url the result: signed, with the trunks tried and a link to the
// recording that opens without a key.
func TestBackendsAreTold(t *testing.T) {
	t.Parallel()
	came := make(chan told, 1000)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil {
			came <- told{r.URL.Path, r.Header.Clone(), body}
		}
	}))
	defer backend.Close()
	srv := start(t, serverproc.Options{Args: []string{"--outbound-allow", "127.0.0.0/8"}})
	srv.trunk("managers", peers.Answerer{Tone: managerTone}.Start(t))
	srv.trunk("spare", peers.Answerer{Refuse: 503, NoRinging: true}.Start(t))
	srv.trunk("clients", peers.Answerer{Tone: clientTone, Ring: 300 * time.Millisecond, HangUp: time.Second}.Start(t))
	var secret struct {
		Secret string `json:"secret"`
	}
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/webhook-secret", nil, &secret))

	a := srv.callback(order(packet{
		"trunks_client": []string{"spare", "clients"},
		"log_url":       backend.URL + "/log", "events_url": backend.URL + "/events", "status_url": backend.URL + "/status",
	}))
	var (
		result struct {
			Revision  int         `json:"revision"`
			Status    call.Status `json:"status"`
			ID        string      `json:"id"`
			TalkS     float64     `json:"talk_s"`
			Dials     []struct{ Trunk, Outcome string }
			Recording struct{ State, URL string }
		}
		events, logs int
		rendered     bool
	)
	for deadline := time.After(patience); result.Revision < 2 || !rendered; {
		select {
		case r := <-came:
			verify(t, r, secret.Secret)
			var pretty bytes.Buffer
			must(t, json.Indent(&pretty, r.body, "", "  "))
			t.Logf("POST %s\n%s", r.path, &pretty)
			switch r.path {
			case "/log":
				logs++
				var m struct {
					LogURL string `json:"log_url"`
				}
				must(t, json.Unmarshal(r.body, &m))
				if m.LogURL != a.LogURL {
					t.Errorf("the log's address is %s, want %s", m.LogURL, a.LogURL)
				}
			case "/events":
				events++
				var e call.Event
				must(t, json.Unmarshal(r.body, &e))
				if e.Seq != int64(events) || e.CallID != a.CallID {
					t.Errorf("event %d came as number %d", e.Seq, events)
				}
				rendered = e.Type == call.RecordingState
			case "/status":
				must(t, json.Unmarshal(r.body, &result))
				if result.Status != call.Completed || result.ID != a.ID || result.TalkS <= 0 {
					t.Errorf("%+v", result)
				}
			}
		case <-deadline:
			t.Fatalf("%d logs, %d events, result %+v", logs, events, result)
		}
	}
	if logs != 1 || len(result.Dials) != 3 || result.Dials[1].Trunk != "spare" || result.Dials[1].Outcome != "failed" || result.Dials[2].Outcome != "answered" {
		t.Errorf("%d logs, dials %+v", logs, result.Dials)
	}
	if stored, err := url.Parse(result.Recording.URL); err != nil || stored.Query().Get("signature") == "" || result.Recording.State != call.RecordingReady {
		t.Fatalf("recording %+v", result.Recording)
	}
	file, err := http.Get(result.Recording.URL)
	must(t, err)
	defer file.Body.Close()
	if file.StatusCode != http.StatusOK || file.Header.Get("Content-Type") != "audio/wav" {
		t.Errorf("the link answers %s", file.Status)
	}
	var list struct {
		Items []struct{ Kind, State string }
	}
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/deliveries?limit=200&call_id="+a.CallID, nil, &list))
	if len(list.Items) != logs+events+2 {
		t.Errorf("%d deliveries are listed, %d came", len(list.Items), logs+events+2)
	}
}

// verify recomputes the signature; how a receiver does it by itself is in the
// tests of package webhook and in docs/webhooks.md.
func verify(t *testing.T, r told, secret string) {
	t.Helper()
	at, err := strconv.ParseInt(r.Get("webhook-timestamp"), 10, 64)
	must(t, err)
	want, err := webhook.Sign(secret, r.Get("webhook-id"), time.Unix(at, 0), r.body)
	must(t, err)
	if got := r.Get("webhook-signature"); got != want || time.Since(time.Unix(at, 0)) > 2*patience {
		t.Errorf("the signature of %s is %s, want %s", r.path, got, want)
	}
}
