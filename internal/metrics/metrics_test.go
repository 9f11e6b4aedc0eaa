package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

func TestMetricsOfACall(t *testing.T) {
	m := New("1.2.3", func() int { return 7 }, func() Packets { return Packets{Received: 10, Sent: 9, Lost: 1, Refused: 2} })
	begin := time.Now()
	for _, e := range []call.Event{
		{Type: call.Created, CallID: "a", Direction: call.Callback, At: begin},
		{Type: call.Dialing, CallID: "a", Leg: "m1", At: begin.Add(4 * time.Millisecond)},
		{Type: call.DialFailed, CallID: "a", Leg: "m1", Trunk: "main", SIPCode: 486},
		{Type: call.Dialing, CallID: "a", Leg: "m2", At: begin.Add(time.Second)}, // not the first
		{Type: call.Answered, CallID: "a", Leg: "m2", Role: call.Manager, ElapsedMS: 3000},
		{Type: call.QueueJoined, Leg: "c1", Queue: "1000"},
		{Type: call.QueueJoined, Leg: "c1", Queue: "1000"},
		{Type: call.QueueLeft, Leg: "c1", Queue: "1000", Reason: "answered", ElapsedMS: 7000},
		{Type: call.QueueLeft, Leg: "c1", Queue: "1000", Reason: "full"},
		{Type: call.QueueJoined, Queue: "1000"}, // who is called back
		{Type: call.Ended, CallID: "a", Status: &call.Completed},
	} {
		m.Observe(e)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`perezvon_calls_live 7`,
		`perezvon_calls_ended_total{status="completed"} 1`,
		`perezvon_calls_ended_total{status="interrupted"} 0`,
		`perezvon_request_to_invite_seconds_bucket{le="0.005"} 1`,
		`perezvon_request_to_invite_seconds_count 1`,
		`perezvon_answer_seconds_count{role="manager"} 1`,
		`perezvon_trunk_failures_total{code="486",trunk="main"} 1`,
		`perezvon_queue_waiting{queue="1000"} 1`,
		`perezvon_queue_wait_seconds_bucket{queue="1000",reason="answered",le="10"} 1`,
		`perezvon_queue_wait_seconds_count{queue="1000",reason="full"} 1`,
		`perezvon_rtp_packets_total{direction="received"} 10`,
		`perezvon_rtp_packets_total{direction="sent"} 9`,
		`perezvon_rtp_lost_total 1`,
		`perezvon_rtp_refused_total 2`,
		`perezvon_build_info{version="1.2.3"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("lacks %s", want)
		}
	}
	if len(m.accepted) != 0 {
		t.Error("remembers a call that is over")
	}
}
