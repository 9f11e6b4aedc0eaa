package webhook_test

import (
	"net/http"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store/storetest"
	"github.com/perezvon/perezvon/internal/webhook"
)

// A transcript goes to status_url by itself: whatever becomes of it, the result
// was told before and is not told again.
func TestTheTranscriptIsToldAndHoldsNothingBack(t *testing.T) {
	s := storetest.Open(t)
	r := newReceiver()
	w := newService(t, s, &http.Client{Transport: r})
	follow(s, w)
	for _, e := range []call.Event{{Type: call.Transcribed, Segments: 1}, {Type: call.NotTranscribed, Reason: "recogniser vosk: gone"}} {
		n := create(t, s, "https://example.com")
		c, err := s.Call(t.Context(), storetest.Mine, n.CallID)
		if err != nil {
			t.Fatal(err)
		}
		add(t, s, n.CallID, call.Event{Type: call.RecordingStarted, Transcribe: true})
		add(t, s, n.CallID, talk(c.StartedAt)...)
		add(t, s, n.CallID, call.Event{Type: call.RecordingState, Recording: call.RecordingReady, DurationS: 60})
		before := len(r.all())
		drain(t, s, w, lane(n, webhook.KindStatus))
		if told := len(r.all()) - before; told != 2 {
			t.Errorf("the result was told %d times before the transcript", told)
		}
		said := []call.Segment{{Speaker: call.ClientSpeaks, FromS: 16.5, ToS: 17.25, Text: "Алло <b>?"}}
		if err := s.SaveTranscript(storetest.Mine, n.CallID, said); err != nil {
			t.Fatal(err)
		}
		add(t, s, n.CallID, e)
		drain(t, s, w, lane(n, webhook.KindStatus))
		if told := len(r.all()) - before; told != 2 {
			t.Error("the transcript is in the way of the result")
		}
		drain(t, s, w, lane(n, webhook.KindTranscript))
		all := r.all()
		if told := len(all) - before; told != 3 {
			t.Errorf("%d deliveries", told)
		}
		want := map[string]any{
			"type": "transcript", "call_id": n.CallID, "id": n.ID, "attempt": 1.0, "client": "+79161234567", "state": "ready",
			"segments": []any{map[string]any{"speaker": "client", "from_s": 16.5, "to_s": 17.25, "text": "Алло <b>?"}},
			"log_url":  "https://pbx.example.com/calls/" + n.CallID,
		}
		if e.Type == call.NotTranscribed {
			want["state"], want["reason"], want["segments"] = "failed", e.Reason, []any{}
		}
		last := all[len(all)-1]
		if last.path != "/status" {
			t.Errorf("sent to %s", last.path)
		}
		sameJSON(t, last.body, want)
	}
}
