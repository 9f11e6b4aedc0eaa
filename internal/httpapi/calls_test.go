package httpapi_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

type accepted struct {
	ID     string `json:"id"`
	CallID string `json:"call_id"`
	LogURL string `json:"log_url"`
}

// order posts a packet that is right.
func order(t *testing.T, s *httpapitest.Server, headers ...string) accepted {
	t.Helper()
	a := s.Do("POST", "/api/v1/callbacks", packet(nil), headers...)
	if a.Status != http.StatusAccepted {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	var got accepted
	a.Into(t, &got)
	return got
}

// "POST /api/v1/callbacks → 202 {id, call_id, log_url}"
func TestCallback(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	got := order(t, s)
	if got.ID == "" || got.CallID == "" || got.LogURL != s.URL+"/calls/"+got.CallID {
		t.Fatalf("%+v", got)
	}
	attempt := <-s.Started
	if attempt.CallID != got.CallID || attempt.Packet.Client != "+79161234567" {
		t.Errorf("started %+v", attempt)
	}
	var state struct {
		ID       string           `json:"id"`
		Client   string           `json:"client"`
		Attempts []map[string]any `json:"attempts"`
		Next     any              `json:"next_attempt_at"`
	}
	s.Do("GET", "/api/v1/callbacks/"+got.ID, nil).Into(t, &state)
	if state.ID != got.ID || state.Client != "+79161234567" || len(state.Attempts) != 1 || state.Attempts[0]["call_id"] != got.CallID || state.Attempts[0]["status"] != nil || state.Next != nil {
		t.Errorf("%+v", state)
	}

	// "DELETE: cancels what runs and what is scheduled (status 710)"
	if a := s.Do("DELETE", "/api/v1/callbacks/"+got.ID, nil); a.Status != http.StatusNoContent || len(a.Body) > 0 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	until(t, "the call has ended as 710", func() bool {
		return s.Dispatch.Live() == 0 && strings.Contains(string(s.Do("GET", "/api/v1/calls/"+got.CallID, nil).Body), `"status":{"code":710,"slug":"cancelled"}`)
	})
	if a := s.Do("DELETE", "/api/v1/callbacks/"+got.ID, nil); a.Status != http.StatusNoContent {
		t.Errorf("the second time: %d %s", a.Status, a.Body)
	}
}

// until waits for a state that another goroutine brings about.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// "DELETE /api/v1/calls/{id}: hangs up"
func TestHangUp(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	got := order(t, s)
	<-s.Started
	if a := s.Do("DELETE", "/api/v1/calls/"+got.CallID, nil); a.Status != http.StatusNoContent {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	until(t, "no call lives", func() bool { return s.Dispatch.Live() == 0 })
}

// "An Idempotency-Key makes a repeated POST return the first answer."
func TestIdempotencyKey(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	first := order(t, s, "Idempotency-Key", "form-17")
	<-s.Started
	if again := order(t, s, "Idempotency-Key", "form-17"); again != first {
		t.Errorf("got %+v, first %+v", again, first)
	}
	if other := order(t, s, "Idempotency-Key", "form-18"); other.ID == first.ID {
		t.Error("another key gives the same callback")
	}
	<-s.Started
	p := mustBeProblem(t, s.Do("POST", "/api/v1/callbacks", packet(map[string]any{"client": "+79160000000"}), "Idempotency-Key", "form-17"), http.StatusUnprocessableEntity)
	if !slices.Contains(p.locations(), "header.Idempotency-Key") {
		t.Errorf("%+v", p)
	}
	select {
	case a := <-s.Started:
		t.Errorf("called again: %+v", a)
	default:
	}
}

func TestDrainingServerTakesNoCalls(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	if err := s.Dispatch.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := s.Do("POST", "/api/v1/callbacks", packet(nil))
	mustBeProblem(t, a, http.StatusServiceUnavailable)
	if a.Header.Get("Retry-After") == "" {
		t.Error("does not say when to try again")
	}
	if a := s.Do("GET", "/api/v1/calls", nil); a.Status != 200 {
		t.Errorf("calls cannot be read: %d", a.Status)
	}
}

// The call has exactly the contract's shape.
func TestCallShape(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	at := time.Date(2026, 11, 21, 12, 30, 0, 0, time.FixedZone("MSK", 3*3600))
	id := s.Talk(at)
	s.Record(id)
	var got map[string]any
	s.Do("GET", "/api/v1/calls/"+id, nil).Into(t, &got)
	want := map[string]any{
		"id": id, "direction": "callback", "status": map[string]any{"code": 200.0, "slug": "completed"},
		"client": "+79161234567", "responsible": "101",
		"started_at": "2026-11-21T09:30:00.000Z", "answered_at": "2026-11-21T09:30:02.500Z", "ended_at": "2026-11-21T09:30:33.040Z",
		"duration_s": 33.04, "talk_s": 20.01,
		"stages":     []any{map[string]any{"operator": "101", "from": "2026-11-21T09:30:13.010Z", "to": "2026-11-21T09:30:33.020Z", "outcome": "done"}},
		"recording":  map[string]any{"state": "ready", "url": s.URL + "/api/v1/calls/" + id + "/recording", "duration_s": 30.0},
		"transcript": map[string]any{"state": "none"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	live := s.NewCall(at)
	s.Do("GET", "/api/v1/calls/"+live, nil).Into(t, &got)
	if got["status"] != nil || got["ended_at"] != nil || got["answered_at"] != nil {
		t.Errorf("a live call: %v", got)
	}
	if diff := cmp.Diff(map[string]any{"state": "none", "url": nil, "duration_s": nil}, got["recording"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheTranscriptIsShownWithItsCall(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	id := s.NewCall(time.Now())
	s.Append(
		call.Event{CallID: id, Type: call.RecordingStarted, Transcribe: true}, call.Event{CallID: id, Type: call.Joined, Leg: "m1", Other: "c1"},
		call.Event{CallID: id, Type: call.Ended, Status: &call.Completed}, call.Event{CallID: id, Type: call.RecordingState, Recording: call.RecordingReady},
	)
	shown := func() any {
		t.Helper()
		var got map[string]any
		s.Do("GET", "/api/v1/calls/"+id, nil).Into(t, &got)
		return got["transcript"]
	}
	if diff := cmp.Diff(map[string]any{"state": "waiting"}, shown()); diff != "" {
		t.Error(diff)
	}
	if err := s.Store.SaveTranscript(directory.DefaultAccount, id, []call.Segment{{Speaker: call.ClientSpeaks, FromS: 1.5, ToS: 2.25, Text: "Алло"}}); err != nil {
		t.Fatal(err)
	}
	s.Append(call.Event{CallID: id, Type: call.Transcribed, Segments: 1})
	want := map[string]any{"state": "ready", "segments": []any{map[string]any{"speaker": "client", "from_s": 1.5, "to_s": 2.25, "text": "Алло"}}}
	if diff := cmp.Diff(want, shown()); diff != "" {
		t.Error(diff)
	}
	var list struct{ Items []map[string]any }
	s.Do("GET", "/api/v1/calls", nil).Into(t, &list)
	if diff := cmp.Diff(map[string]any{"state": "ready"}, list.Items[0]["transcript"]); diff != "" {
		t.Error(diff)
	}
}

func TestCallsAreListedInPages(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	begin := time.Now().Add(-time.Hour)
	var want []string
	for i := range 5 {
		want = append(want, s.NewCall(begin.Add(time.Duration(i)*time.Minute)))
	}
	slices.Reverse(want) // newest first
	var got []string
	cursor := ""
	for {
		var page struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
			Next *string `json:"next_cursor"`
		}
		s.Do("GET", "/api/v1/calls?limit=2&cursor="+cursor, nil).Into(t, &page)
		for _, item := range page.Items {
			got = append(got, item.ID)
		}
		if page.Next == nil {
			break
		}
		cursor = *page.Next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	count := func(query string) int {
		var page struct{ Items []any }
		s.Do("GET", "/api/v1/calls?"+query, nil).Into(t, &page)
		return len(page.Items)
	}
	for query, n := range map[string]int{
		"client=8%20916%20123-45-67": 5, "client=%2B79160000000": 0, "direction=inbound": 0, "direction=callback": 5, "live=true": 5,
		"since=" + begin.Add(time.Minute).UTC().Format(time.RFC3339Nano): 4, "until=" + begin.Add(time.Minute).UTC().Format(time.RFC3339Nano): 1,
	} {
		if got := count(query); got != n {
			t.Errorf("%s: %d calls, want %d", query, got, n)
		}
	}
}

// "GET /api/v1/calls/{id}/events: {events: [{seq, at, type, leg, …}]}, the log"
func TestLog(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	id := s.Talk(time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC))
	type log struct {
		Events []map[string]any `json:"events"`
	}
	var all, some log
	s.Do("GET", "/api/v1/calls/"+id+"/events", nil).Into(t, &all)
	if n := len(httpapitest.TalkEvents("", time.Time{})) + 1; len(all.Events) != n {
		t.Fatalf("%d events, want %d", len(all.Events), n)
	}
	for i, e := range all.Events {
		if e["seq"] != float64(i+1) || e["call_id"] != id {
			t.Errorf("event %d: %v", i, e)
		}
	}
	if e := all.Events[2]; e["type"] != "leg.dialing" || e["leg"] != "m1" || e["at"] != "2026-11-21T09:30:00.020Z" {
		t.Errorf("%v", e)
	}
	s.Do("GET", "/api/v1/calls/"+id+"/events?after=17", nil).Into(t, &some)
	if diff := cmp.Diff(all.Events[17:], some.Events); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRecording(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	id := s.Talk(time.Now().Add(-time.Hour))
	path := "/api/v1/calls/" + id + "/recording"

	// Not ready: the answer says how far it is.
	if p := mustBeProblem(t, s.Do("GET", path, nil), http.StatusConflict); !strings.Contains(p.Detail, "rendering") {
		t.Errorf("%+v", p)
	}
	if p := mustBeProblem(t, s.Do("GET", "/api/v1/calls/"+s.NewCall(time.Now())+"/recording", nil), http.StatusNotFound); !strings.Contains(p.Detail, "none") {
		t.Errorf("%+v", p)
	}

	s.Record(id)
	whole := s.Do("GET", path, nil)
	if whole.Status != 200 || whole.Header.Get("Content-Type") != "audio/wav" || whole.Header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("%d %v", whole.Status, whole.Header)
	}
	if string(whole.Body[:4]) != "RIFF" || binary.LittleEndian.Uint16(whole.Body[22:]) != 2 {
		t.Errorf("not a stereo WAV: % x", whole.Body[:44])
	}
	part := s.Do("GET", path, nil, "Range", "bytes=100-199")
	if part.Status != http.StatusPartialContent || !bytes.Equal(part.Body, whole.Body[100:200]) || part.Header.Get("Content-Range") != fmt.Sprintf("bytes 100-199/%d", len(whole.Body)) {
		t.Errorf("range: %d %v", part.Status, part.Header)
	}
	if a := s.Do("GET", path, nil, "Range", fmt.Sprintf("bytes=%d-", len(whole.Body))); a.Status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("range beyond the end: %d", a.Status)
	}
	if a := s.Do("HEAD", path, nil); a.Status != 200 || a.Header.Get("Content-Length") != fmt.Sprint(len(whole.Body)) {
		t.Errorf("HEAD: %d %v", a.Status, a.Header)
	}
	mustBeProblem(t, s.Do("GET", path+"?format=flac", nil), http.StatusUnprocessableEntity)

	var peaks struct {
		Left, Right []int
	}
	s.Do("GET", path+"/peaks", nil).Into(t, &peaks)
	if len(peaks.Left) != 600 || len(peaks.Right) != 600 {
		t.Errorf("%d and %d peaks", len(peaks.Left), len(peaks.Right))
	}
}

// mp3 and ogg where the server has an encoder, else 406 that says which to
// install.
func TestCompressedRecordings(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	id := s.Talk(time.Now().Add(-time.Hour))
	s.Record(id)
	path := "/api/v1/calls/" + id + "/recording?format="
	for format, test := range map[string]struct {
		programs   []string
		mime, head string
	}{
		"mp3": {[]string{"lame", "ffmpeg"}, "audio/mpeg", "\xff"},
		"ogg": {[]string{"opusenc", "ffmpeg"}, "audio/ogg", "OggS"},
	} {
		a := s.Do("GET", path+format, nil)
		if !slices.ContainsFunc(test.programs, func(p string) bool { _, err := exec.LookPath(p); return err == nil }) {
			if p := mustBeProblem(t, a, http.StatusNotAcceptable); !strings.Contains(p.Detail, "install") {
				t.Errorf("%+v", p)
			}
			continue
		}
		// 30 s at 8 kHz stereo are 480 kB as A-law.
		if a.Status != 200 || a.Header.Get("Content-Type") != test.mime || !strings.HasPrefix(string(a.Body), test.head) || len(a.Body) < 20e3 || len(a.Body) > 300e3 {
			t.Fatalf("%s: %d %v, %d bytes: %.100q", format, a.Status, a.Header, len(a.Body), a.Body)
		}
		if again := s.Do("GET", path+format, nil); !bytes.Equal(again.Body, a.Body) {
			t.Errorf("%s: the second time it differs", format)
		}
		if part := s.Do("GET", path+format, nil, "Range", "bytes=0-9"); part.Status != http.StatusPartialContent || len(part.Body) != 10 {
			t.Errorf("%s: range gives %d", format, part.Status)
		}
	}
	t.Run("no encoder", func(t *testing.T) {
		other := s.Talk(time.Now())
		s.Record(other)
		t.Setenv("PATH", t.TempDir())
		for format, name := range map[string]string{"mp3": "lame", "ogg": "opus-tools"} {
			if p := mustBeProblem(t, s.Do("GET", "/api/v1/calls/"+other+"/recording?format="+format, nil), http.StatusNotAcceptable); !strings.Contains(p.Detail, name) {
				t.Errorf("%+v", p)
			}
		}
	})
}

// "Recordings need a key or a signed, expiring link."
func TestSignedLinkToARecording(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	id, other := s.Talk(time.Now().Add(-time.Hour)), s.Talk(time.Now().Add(-time.Hour))
	s.Record(id)
	s.Record(other)
	var link struct {
		URL       string    `json:"url"`
		PageURL   string    `json:"page_url"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	s.Do("POST", "/api/v1/calls/"+id+"/recording/link?ttl_s=600", nil).Into(t, &link)
	if in := time.Until(link.ExpiresAt); in < 9*time.Minute || in > 10*time.Minute {
		t.Errorf("expires in %v", in)
	}
	path := strings.TrimPrefix(link.URL, s.URL)
	_, query, _ := strings.Cut(path, "?")
	get := func(path string) int { return s.Do("GET", path, nil, "Authorization", "").Status }
	for what, path := range map[string]string{
		"the link":  path,
		"its peaks": "/api/v1/calls/" + id + "/recording/peaks?" + query,
		"its log":   "/api/v1/calls/" + id + "/events?" + query,
		"the call":  "/api/v1/calls/" + id + "?" + query,
	} {
		if got := get(path); got != 200 {
			t.Errorf("%s: %d", what, got)
		}
	}
	for what, path := range map[string]string{
		"no signature":   "/api/v1/calls/" + id + "/recording",
		"another call":   "/api/v1/calls/" + other + "/recording?" + query,
		"all calls":      "/api/v1/calls?" + query,
		"all events":     "/api/v1/events?" + query,
		"forged expiry":  strings.Replace(path, "expires=1", "expires=2", 1),
		"forged":         path + "x",
		"expired":        "/api/v1/calls/" + id + "/recording?" + s.Door.Signer.Link(id, time.Now().Add(-time.Second)),
		"another server": "/api/v1/calls/" + id + "/recording?" + access.NewSigner(bytes.Repeat([]byte{1}, 32)).Link(id, time.Now().Add(time.Hour)),
	} {
		if got := get(path); got != http.StatusUnauthorized && got != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", what, got)
		}
	}
	if a := s.Do("DELETE", "/api/v1/calls/"+id+"?"+query, nil, "Authorization", ""); a.Status == http.StatusNoContent {
		t.Error("the link hangs up")
	}
}

// Passwords are never shown again; PUT without one keeps it.
func TestTrunks(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	show := func(a httpapitest.Answer, status int) map[string]any {
		t.Helper()
		if a.Status != status {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if strings.Contains(string(a.Body), "secret") {
			t.Errorf("a password is shown: %s", a.Body)
		}
		var v map[string]any
		a.Into(t, &v)
		return v
	}
	v := show(s.Do("POST", "/api/v1/trunks", map[string]any{"name": "spare", "host": "sip.example.net", "username": "x", "password": "spare-secret", "caller_id_header": "pai"}), http.StatusCreated)
	if v["name"] != "spare" || v["password_set"] != true || v["caller_id_header"] != "pai" || v["password"] != nil {
		t.Errorf("%v", v)
	}
	mustBeProblem(t, s.Do("POST", "/api/v1/trunks", map[string]any{"name": "spare", "host": "x.example"}), http.StatusConflict)
	v = show(s.Do("PUT", "/api/v1/trunks/spare", map[string]any{"host": "sip2.example.net", "username": "x"}), http.StatusOK)
	if v["host"] != "sip2.example.net" || v["password_set"] != true {
		t.Errorf("%v", v)
	}
	stored, err := s.Store.Trunk(t.Context(), directory.DefaultAccount, "spare")
	if err != nil || stored.Password != "spare-secret" {
		t.Errorf("%+v, %v", stored, err)
	}
	if v = show(s.Do("PUT", "/api/v1/trunks/spare", map[string]any{"host": "sip2.example.net", "username": "y"}), http.StatusOK); v["password_set"] != false {
		t.Error("another account inherits the password")
	}
	show(s.Do("PUT", "/api/v1/trunks/third", map[string]any{"host": "sip3.example.net"}), http.StatusCreated)
	if v = show(s.Do("GET", "/api/v1/trunks/main", nil), 200); v["state"].(map[string]any)["healthy"] != true {
		t.Errorf("%v", v)
	}
	v = show(s.Do("GET", "/api/v1/trunks?limit=2", nil), 200)
	if len(v["items"].([]any)) != 2 || v["next_cursor"] != "spare" {
		t.Errorf("%v", v)
	}
	v = show(s.Do("GET", "/api/v1/trunks?limit=2&cursor=spare", nil), 200)
	if len(v["items"].([]any)) != 1 || v["next_cursor"] != nil {
		t.Errorf("%v", v)
	}
	before := s.Phones.Reloads()
	if a := s.Do("DELETE", "/api/v1/trunks/third", nil); a.Status != http.StatusNoContent || s.Phones.Reloads() != before+1 {
		t.Errorf("%d; the engine was told %d times", a.Status, s.Phones.Reloads()-before)
	}
	mustBeProblem(t, s.Do("GET", "/api/v1/trunks/third", nil), http.StatusNotFound)
	mustBeProblem(t, s.Do("DELETE", "/api/v1/trunks/third", nil), http.StatusNotFound)
}

func TestBadTrunksAndOperators(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	for _, test := range []struct {
		path  string
		body  map[string]any
		field string
	}{
		{"/api/v1/trunks/x", map[string]any{}, "host"},
		{"/api/v1/trunks/x", map[string]any{"host": "a b"}, "host"},
		{"/api/v1/trunks/x", map[string]any{"host": "h", "name": "y"}, "name"},
		{"/api/v1/trunks/x", map[string]any{"host": "h", "port": 70000}, "port"},
		{"/api/v1/trunks/x", map[string]any{"host": "h", "transport": "sctp"}, "transport"},
		{"/api/v1/trunks/x", map[string]any{"host": "h", "caller_id_header": "x"}, "caller_id_header"},
		{"/api/v1/trunks/x", map[string]any{"host": "h", "max_channels": -1}, "max_channels"},
		{"/api/v1/trunks/x", map[string]any{"host": "h", "password": 5}, "password"},
		{"/api/v1/trunks/x", map[string]any{"host": "h", "colour": "red"}, "colour"},
		{"/api/v1/operators/102", map[string]any{"extension": "103"}, "extension"},
		{"/api/v1/operators/1x", map[string]any{}, "extension"},
		{"/api/v1/operators/102", map[string]any{"paused": "no"}, "paused"},
		{"/api/v1/operators/102", map[string]any{"phones": "1"}, "phones"},
		{"/api/v1/operators/102", map[string]any{"outbound": "world"}, "outbound"},
		{"/api/v1/operators/102", map[string]any{"trunks": []string{"main", "nowhere"}}, "trunks[1]"},
	} {
		t.Run(fmt.Sprint(test.path, test.body), func(t *testing.T) {
			p := mustBeProblem(t, s.Do("PUT", test.path, test.body), http.StatusUnprocessableEntity)
			if !slices.Contains(p.locations(), "body."+test.field) {
				t.Errorf("names %v, want body.%s", p.locations(), test.field)
			}
		})
	}
	t.Run("a secret is not repeated", func(t *testing.T) {
		a := s.Do("PUT", "/api/v1/trunks/x", map[string]any{"host": "h", "password": []string{"hunter2"}, "colour": map[string]any{"password": "hunter2"}})
		mustBeProblem(t, a, http.StatusUnprocessableEntity)
		if strings.Contains(string(a.Body), "hunter2") {
			t.Errorf("%s", a.Body)
		}
		a = s.Do("PUT", "/api/v1/trunks/x", map[string]any{"host": map[string]any{"password": "hunter2"}, "password": 31337})
		mustBeProblem(t, a, http.StatusUnprocessableEntity)
		if strings.Contains(string(a.Body), "hunter2") || strings.Contains(string(a.Body), "31337") {
			t.Errorf("%s", a.Body)
		}
		a = s.Do("PUT", "/api/v1/trunks/x", `{"password": "hunter2", `)
		if mustBeProblem(t, a, http.StatusBadRequest); strings.Contains(string(a.Body), "hunter2") {
			t.Errorf("%s", a.Body)
		}
	})
}

func TestOperators(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	var v map[string]any
	s.Do("GET", "/api/v1/operators/101", nil).Into(t, &v)
	want := map[string]any{"extension": "101", "name": "Анна", "password_set": true, "state": "NOT_INUSE", "contacts": []any{"192.0.2.7:5062"}, "outbound": "home"}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if a := s.Do("PUT", "/api/v1/operators/101", map[string]any{"name": "Анна Б.", "paused": true}); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	o, err := s.Store.Operator(t.Context(), directory.DefaultAccount, "101")
	if err != nil || o.Password != "Operator-secret-1" || !o.Paused {
		t.Errorf("%+v, %v", o, err)
	}
	a := s.Do("POST", "/api/v1/operators", map[string]any{"extension": "102", "password": "Operator-secret-2"})
	if a.Status != http.StatusCreated || a.Header.Get("Location") != "/api/v1/operators/102" {
		t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
	}
	if a := s.Do("DELETE", "/api/v1/operators/102", nil); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// The metrics follow the events.
func TestMetricsCountCalls(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	s.Talk(time.Now())
	until(t, "the call is counted", func() bool {
		return strings.Contains(string(s.Do("GET", "/metrics", nil).Body), `perezvon_calls_ended_total{status="`+call.Completed.Slug+`"} 1`)
	})
}

func decodeEvent(t *testing.T, data string) (e call.Event) {
	t.Helper()
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		t.Fatal(err)
	}
	return e
}
