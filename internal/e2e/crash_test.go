package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// startAgain runs a server on the data of one that is gone.
func startAgain(t *testing.T, gone *server) *server {
	t.Helper()
	o := serverproc.Options{Data: gone.Data, Key: gone.API.Key, SIP: gone.Process.SIP, Args: gone.args}
	if gone.pbx == nil {
		return start(t, o)
	}
	return gone.pbx.serve(t, o)
}

// server killed with kill -9 while talking: the right status, timeline and
// recording, nobody left ringing, no second call.
func TestKilledWhileTalking(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{Data: filepath.Join(t.TempDir(), "data")})
	manager := peers.Answerer{Tone: managerTone}.Start(t)
	client := peers.Answerer{Tone: clientTone}.Start(t)
	srv.trunk("managers", manager)
	srv.trunk("clients", client)
	a := srv.callback(order(nil))
	ctx := limit(t)
	before := srv.until(a.CallID, is(call.Joined, ""))
	must(t, manager.Audio.Hears(ctx, clientTone))
	must(t, client.Audio.Hears(ctx, managerTone))
	talked := before[len(before)-1].At
	// Three seconds of talk, of which at most the last may be lost.
	heardFor(t, client, 3*time.Second)
	killed := time.Now()
	must(t, srv.Kill())

	srv = startAgain(t, srv)
	events := srv.expect(a.CallID, call.Interrupted)
	if len(events) < len(before) {
		t.Errorf("the timeline had %d events, now %d", len(before), len(events))
	}
	rec := srv.recording(a.CallID)
	zero := find(t, events, call.RecordingStarted, "").At
	from, to := talked.Sub(zero)+100*time.Millisecond, killed.Sub(zero)-time.Second
	rec.left.has(t, clientTone, from, to)
	rec.right.has(t, managerTone, from, to)

	// Both phones are told that the call is over, and neither is called again.
	must(t, client.Wait(ctx))
	must(t, manager.Wait(ctx))
	for name, peer := range map[string]*peers.Sipp{"manager": manager, "client": client} {
		if invites, err := peer.AwaitN(ctx, "INVITE", 1); err != nil || len(invites) != 1 {
			t.Errorf("the %s was called %d times: %v", name, len(invites), err)
		}
	}
}

// Killed while the client rings: nobody is left ringing.
func TestKilledWhileTheClientRings(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{Data: filepath.Join(t.TempDir(), "data")})
	manager := peers.Answerer{Tone: managerTone}.Start(t)
	client := peers.Answerer{Ring: peers.Forever}.Start(t)
	srv.trunk("managers", manager)
	srv.trunk("clients", client)
	a := srv.callback(order(nil))
	srv.until(a.CallID, is(call.Ringing, "c1"))
	must(t, srv.Kill())

	srv = startAgain(t, srv)
	srv.expect(a.CallID, call.Interrupted)
	must(t, client.Wait(limit(t))) // it got its CANCEL
	must(t, manager.Wait(limit(t)))
}

// heardFor waits until a phone has heard as much sound.
func heardFor(t *testing.T, p *peers.Sipp, d time.Duration) {
	t.Helper()
	ctx := limit(t)
	want := len(p.Audio.Heard()) + int(d.Seconds()*8000)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(p.Audio.Heard()) < want {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no sound")
		}
	}
}
