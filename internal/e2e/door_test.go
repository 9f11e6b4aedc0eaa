package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/apiclient"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// Bad input (each field of the packet wrong in turn; body too large; not JSON;
// unknown field): 422/400/413 that names it, nothing dialled.
func TestBadInput(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{})
	carrier := peers.Answerer{}.Start(t)
	srv.trunk("managers", carrier)
	srv.trunk("clients", carrier)

	wrong := map[string]any{
		"managers": "not a number", "client": "12", "dial_mode": "both", "language": "r?",
		"greeting": strings.Repeat("а", 5000), "connecting_text": strings.Repeat("а", 5000),
		"ivr_text": strings.Repeat("а", 5000), "extra_info": strings.Repeat("а", 20000),
		"ivr_repeats_before_connect": 17, "ivr_repeats_before_hangup": 16,
		"extension_delay_ms": 30001, "client_delay_ms": -1, "manager_timeout_s": 4, "client_timeout_s": 121, "after_call_s": -1,
		"dtmf_connect": "55", "dtmf_extra_info": "A", "dtmf_cancel": "x", "dtmf_cancel_recalls": "10", "dtmf_reschedule": " ",
		"dtmf_to_manager": "12z", "client_caller_id": "\r\nVia: x", "default_caller_id_manager": "a\nb", "default_caller_id_client": "\x00",
		"trunk": "no-such-trunk", "trunks_manager": []string{"no-such-trunk"}, "trunks_client": []string{"no-such-trunk"},
		"client_ip": "300.1.1.1", "attempt": -1, "voice_control": "maybe", "transcribe": 7,
		"log_url": "http://127.0.0.1/x", "status_url": "ftp://example.org/", "events_url": "http://10.0.0.1/",
		"no_such_field": 1,
	}
	for field, value := range wrong {
		p := order(packet{field: value})
		var problem *apiclient.Problem
		err := srv.API.Do(limit(t), "POST", "/api/v1/callbacks", p, nil)
		if !errors.As(err, &problem) || problem.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %v, want 422", field, err)
			continue
		}
		named := false
		for _, e := range problem.Errors {
			named = named || strings.HasPrefix(e.Location, "body."+field)
		}
		if !named {
			t.Errorf("%s is not named: %v", field, problem)
		}
	}
	for _, tt := range []struct {
		name, body string
		want       int
	}{
		{"not JSON", "managers=1", http.StatusBadRequest},
		{"cut off", `{"managers": "1`, http.StatusBadRequest},
		{"too large", `{"greeting": "` + strings.Repeat("x", 1<<20) + `"}`, http.StatusRequestEntityTooLarge},
		{"empty", ``, http.StatusBadRequest},
		{"a list", `[]`, http.StatusUnprocessableEntity},
	} {
		if got := srv.post(t, tt.body, nil); got.StatusCode != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got.StatusCode, tt.want)
		}
	}
	var calls struct{ Items []any }
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/calls", nil, &calls))
	if len(calls.Items) > 0 || len(carrier.Messages()) > 0 {
		t.Error("something was dialled")
	}
	anonymous := &apiclient.Client{Base: srv.API.Base, Key: "wrong"}
	var problem *apiclient.Problem
	if err := anonymous.Do(limit(t), "GET", "/api/v1/calls", nil, nil); !errors.As(err, &problem) || problem.Status != 401 {
		t.Errorf("a wrong key: %v", err)
	}
}

// post sends a body as it is.
func (s *server) post(t *testing.T, body string, header http.Header) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(limit(t), http.MethodPost, s.API.Base+"/api/v1/callbacks", strings.NewReader(body))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+s.API.Key)
	req.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		req.Header[k] = v
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// An Idempotency-Key makes a repeated POST return the first answer.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{})
	manager := peers.Answerer{Refuse: 486}.Start(t)
	srv.trunk("managers", manager)
	srv.trunk("clients", manager)
	body, err := json.Marshal(order(nil))
	must(t, err)
	key := http.Header{"Idempotency-Key": {"order-1"}}
	var answers [2][]byte
	for i := range answers {
		res := srv.post(t, string(body), key)
		if res.StatusCode != http.StatusAccepted {
			t.Fatalf("status %d", res.StatusCode)
		}
		answers[i], err = io.ReadAll(res.Body)
		must(t, err)
	}
	if !bytes.Equal(answers[0], answers[1]) {
		t.Errorf("the answers differ:\n%s\n%s", answers[0], answers[1])
	}
	var a apiclient.Accepted
	must(t, json.Unmarshal(answers[0], &a))
	srv.expect(a.CallID, call.ManagerBusy)
	if got, _ := manager.AwaitN(limit(t), "INVITE", 1); len(got) != 1 {
		t.Errorf("the manager was called %d times", len(got))
	}
}

// DELETE cancels what runs: status 710, and nobody is left ringing.
func TestCancelThroughTheAPI(t *testing.T) { onBothEngines(t, cancelThroughTheAPI) }

func cancelThroughTheAPI(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	manager := peers.Answerer{Ring: peers.Forever}.Start(t)
	srv.trunk("managers", manager)
	srv.trunk("clients", manager)
	a := srv.callback(order(nil))
	srv.until(a.CallID, is(call.Ringing, "m1"))
	must(t, srv.API.Do(limit(t), "DELETE", "/api/v1/callbacks/"+a.ID, nil, nil))
	srv.expect(a.CallID, call.Cancelled)
	must(t, manager.Wait(limit(t)))
	var cb struct{ State string }
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/callbacks/"+a.ID, nil, &cb))
	if cb.State != "cancelled" {
		t.Errorf("state is %q", cb.State)
	}
}

// SIGTERM: no new calls, live calls may finish within --drain, then they are
// ended and accounted for; exit 0.
func TestDrain(t *testing.T) { onBothEngines(t, drain) }

func drain(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{Data: t.TempDir(), Args: []string{"--keep-calls=false"}})
	manager := peers.Answerer{Tone: managerTone}.Start(t)
	client := peers.Answerer{Tone: clientTone}.Start(t)
	srv.trunk("managers", manager)
	srv.trunk("clients", client)
	a := srv.callback(order(nil))
	srv.until(a.CallID, is(call.Joined, ""))
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Stop() }()
	refused := func() bool {
		var problem *apiclient.Problem
		err := srv.API.Do(limit(t), "POST", "/api/v1/callbacks", order(nil), nil)
		return errors.As(err, &problem) && problem.Status == http.StatusServiceUnavailable
	}
	until(t, "new calls are refused", refused)
	must(t, <-stopped) // exit 0
	must(t, client.Wait(limit(t)))
	must(t, manager.Wait(limit(t)))
	again := startAgain(t, srv)
	again.expect(a.CallID, call.Interrupted)
	again.until(a.CallID, func(e call.Event) bool { return e.Recording == call.RecordingReady })
}

// until waits for a condition that only asking can tell.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}
