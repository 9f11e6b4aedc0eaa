package e2e

import (
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/softphone"
)

// A client's call rings at 101; 102 dials **101 and talks to him: it is one call
// of 102's with one recording, and 101's phone has stopped.
func TestAColleaguePicksACallUp(t *testing.T) { onBothEngines(t, aColleaguePicksACallUp) }

func aColleaguePicksACallUp(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	srv.operator("101", softphone.Script{RingFor: time.Minute}, nil)
	colleague := srv.operator("102", softphone.Script{}, nil)
	client := srv.carrier("city", softphone.Script{})
	srv.route(packet{"operator": "101"})

	talked := make(chan error, 1)
	go func() {
		leg, err := client.Call(limit(t), "+74951112233")
		if err == nil {
			_ = says(clientTone, 0).Talk(limit(t), leg) // until the colleague hangs up
		}
		talked <- err
	}()
	id := srv.only(call.Inbound)
	srv.until(id, is(call.Ringing, "o1"))
	leg, err := colleague.Call(limit(t), "**101")
	must(t, err)
	_ = says(managerTone, sips).Talk(limit(t), leg) // until he hangs up
	must(t, <-talked)

	events := srv.expect(id, call.Completed)
	find(t, events, call.DialCancelled, "o1")
	if got := find(t, events, call.Answered, "o2").Operator; got != "102" {
		t.Errorf("answered by %s", got)
	}
	srv.expect(srv.only(call.Internal), call.Completed)
	rec := srv.recording(id)
	zero := find(t, events, call.RecordingStarted, "").At
	joined := find(t, events, call.Joined, "").At.Sub(zero)
	parted := find(t, events, call.Parted, "").At.Sub(zero)
	rec.right.has(t, managerTone, joined+200*time.Millisecond, parted-200*time.Millisecond)
	rec.left.has(t, clientTone, joined+200*time.Millisecond, parted-200*time.Millisecond)
}
