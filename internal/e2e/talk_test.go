package e2e

import (
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// Tones of the people.
const (
	managerTone = 500
	clientTone  = 900
)

// phonePassword is that of every operator's phone.
const phonePassword = "phone-password"

// slack is how far a busy machine may let the phones' sound lie off the moments
// of the timeline. That a recording is exact to 20 ms is shown where no machine
// is in the way: internal/recording.
const slack = 500 * time.Millisecond

// sipp as manager and client: status 200, both tones heard by the right side;
// the stereo file has the client left, the manager and prompts right, the talk
// gapless.
func TestManagerAndClientTalk(t *testing.T) {
	onBothEngines(t, func(t *testing.T, start engine) {
		t.Helper()
		srv := start(t, serverproc.Options{})
		manager, client := talkers(t)
		srv.trunk("managers", manager)
		srv.trunk("clients", client)
		managerAndClientTalk(t, srv, manager, client)
	})
}

// talkers are the phones of the two.
func talkers(t *testing.T) (manager, client *peers.Sipp) {
	t.Helper()
	return peers.Answerer{Tone: managerTone}.Start(t),
		peers.Answerer{Tone: clientTone, Ring: 500 * time.Millisecond, HangUp: 4 * time.Second}.Start(t)
}

// managerAndClientTalk lets a callback's two sides talk, and wants all of it in
// the recording.
func managerAndClientTalk(t *testing.T, srv *server, manager, client *peers.Sipp) {
	t.Helper()
	a := srv.callback(order(nil))
	ctx := limit(t)
	must(t, manager.Audio.Hears(ctx, clientTone))
	must(t, client.Audio.Hears(ctx, managerTone))
	events := srv.expect(a.CallID, call.Completed)
	must(t, client.Wait(ctx))
	must(t, manager.Wait(ctx)) // it got its BYE

	rec := srv.recording(a.CallID)

	zero := find(t, events, call.RecordingStarted, "").At
	joined := find(t, events, call.Joined, "").At.Sub(zero)
	parted := find(t, events, call.Parted, "").At.Sub(zero)
	greeting := find(t, events, call.PromptStarted, "m1").At.Sub(zero)
	// What the server said stands where the timeline says, on the manager's
	// side, on top of the manager's own tone.
	if level := rms(rec.right.between(greeting+200*time.Millisecond, greeting+600*time.Millisecond)); level < 100 {
		t.Errorf("the greeting is not on the right: level %.0f", level)
	}
	rec.right.has(t, managerTone, joined+slack, parted-slack)
	rec.left.has(t, clientTone, joined+slack, parted-slack)
	rec.left.hasNot(t, managerTone, 0, parted)
	rec.left.hasNot(t, clientTone, 0, joined-slack)
	rec.right.hasNot(t, clientTone, 0, parted)
	// The client's tone begins with the answer.
	answered := find(t, events, call.Answered, "c1").At.Sub(zero)
	if begins := rec.left.begins(t, clientTone); (begins - answered).Abs() > slack {
		t.Errorf("the client is heard from %v on, answered at %v", begins, answered)
	}
}

// A manager may be an operator's extension (a registered phone).
func TestManagerIsAnOperator(t *testing.T) { onBothEngines(t, managerIsAnOperator) }

func managerIsAnOperator(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	srv.extension("101", packet{"name": "Анна"})
	client := peers.Answerer{Tone: clientTone, HangUp: 3 * time.Second}.Start(t)
	srv.trunk("clients", client)
	manager := peers.Phone{Extension: "101", Server: addrOf(t, srv.SIP), Password: phonePassword, Tone: managerTone}.Start(t)

	a := srv.callback(order(packet{"managers": "101", "trunks_manager": nil}))
	ctx := limit(t)
	must(t, manager.Hears(ctx, clientTone))
	must(t, client.Audio.Hears(ctx, managerTone))
	srv.expect(a.CallID, call.Completed)
	must(t, client.Wait(ctx))
	if _, err := manager.Await(ctx, "CALL_CLOSED"); err != nil {
		t.Error(err)
	}
}
