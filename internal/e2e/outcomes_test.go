package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// Each of: client busy, declines, no answer, unknown number, trunk dead, trunk
// 503: the right status, and nobody left ringing.
func TestClientOutcomes(t *testing.T) { onBothEngines(t, clientOutcomes) }

func clientOutcomes(t *testing.T, start engine) {
	t.Helper()
	tests := []struct {
		name   string
		client peers.Answerer
		want   call.Status
		cancel bool // the client's phone must be told to stop ringing
	}{
		{"busy", peers.Answerer{Refuse: 486}, call.ClientBusy, false},
		{"declines", peers.Answerer{Refuse: 603, Ring: 200 * time.Millisecond}, call.ClientDeclined, false},
		{"no answer", peers.Answerer{Ring: peers.Forever}, call.ClientNoAnswer, true},
		{"unknown number", peers.Answerer{Refuse: 404, NoRinging: true}, call.ClientUnknown, false},
		{"unallocated by Q.850", peers.Answerer{Refuse: 503, NoRinging: true, Header: "Reason: Q.850;cause=1"}, call.ClientUnknown, false},
		{"phone off", peers.Answerer{Refuse: 480, Ring: 100 * time.Millisecond}, call.ClientNoAnswer, false},
		{"out of reach", peers.Answerer{Refuse: 480, NoRinging: true}, call.ClientUnavailable, false},
		{"trunk 503", peers.Answerer{Refuse: 503, NoRinging: true}, call.ClientTrunkFailure, false},
		{"trunk mute", peers.Answerer{Mute: true}, call.ClientTrunkFailure, false},
	}
	srv := start(t, serverproc.Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := srv.in(t)
			name := strings.NewReplacer(" ", "-", ".", "").Replace(tt.name)
			manager, client := peers.Answerer{Tone: managerTone}.Start(t), tt.client.Start(t)
			srv.trunk("m-"+name, manager)
			srv.trunk("c-"+name, client)
			a := srv.callback(order(packet{
				"trunks_manager": []string{"m-" + name}, "trunks_client": []string{"c-" + name}, "client_timeout_s": 5,
			}))
			srv.expect(a.CallID, srv.wants(tt.name, tt.want))
			must(t, manager.Wait(limit(t))) // the manager is hung up
			if tt.cancel {
				_, err := client.Await(limit(t), "CANCEL")
				must(t, err)
			}
		})
	}
}

// A trunk that is dead: nothing listens there.
func TestClientTrunkDead(t *testing.T) { onBothEngines(t, clientTrunkDead) }

func clientTrunkDead(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	manager := peers.Answerer{Tone: managerTone}.Start(t)
	srv.trunk("managers", manager)
	// Below the ports that the system hands out, at an address of the loopback
	// that nobody uses.
	srv.trunkTo("clients", netip.MustParseAddrPort("127.0.0.99:9"), nil)
	a := srv.callback(order(packet{"client_timeout_s": 5}))
	srv.expect(a.CallID, call.ClientTrunkFailure)
	must(t, manager.Wait(limit(t)))
}

// Each of: manager busy, no answer, declines, trunk 503, hangs up early: the
// right status, and the client is not called.
func TestManagerOutcomes(t *testing.T) { onBothEngines(t, managerOutcomes) }

func managerOutcomes(t *testing.T, start engine) {
	t.Helper()
	tests := []struct {
		name    string
		manager peers.Answerer
		want    call.Status
	}{
		{"busy", peers.Answerer{Refuse: 486}, call.ManagerBusy},
		{"no answer", peers.Answerer{Ring: peers.Forever}, call.ManagerNoAnswer},
		{"declines", peers.Answerer{Refuse: 603}, call.ManagerDeclined},
		{"trunk 503", peers.Answerer{Refuse: 503, NoRinging: true}, call.ManagerTrunkFailure},
		{"hangs up in the greeting", peers.Answerer{HangUp: 300 * time.Millisecond}, call.ManagerHungUp},
	}
	srv := start(t, serverproc.Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := srv.in(t)
			name := strings.ReplaceAll(tt.name, " ", "-")
			manager, client := tt.manager.Start(t), peers.Answerer{}.Start(t)
			srv.trunk("m-"+name, manager)
			srv.trunk("c-"+name, client)
			a := srv.callback(order(packet{
				"trunks_manager": []string{"m-" + name}, "trunks_client": []string{"c-" + name}, "manager_timeout_s": 5,
			}))
			srv.expect(a.CallID, tt.want)
			must(t, manager.Wait(limit(t)))
			if got := client.Messages(); len(got) > 0 {
				t.Errorf("the client was called: %s", got[0].Text)
			}
		})
	}
}

// If the manager hangs up while the client is being called, the client's leg is
// cancelled and never rings on.
func TestManagerHangsUpWhileTheClientRings(t *testing.T) {
	onBothEngines(t, managerHangsUpWhileTheClientRings)
}

func managerHangsUpWhileTheClientRings(t *testing.T, start engine) {
	t.Helper()
	for name, client := range map[string]peers.Answerer{
		"cancel":                 {Ring: peers.Forever},
		"200 crosses the CANCEL": {Ring: peers.Forever, CrossCancel: true, Tone: clientTone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(t, serverproc.Options{})
			manager, client := peers.Answerer{Tone: managerTone, HangUp: 10 * time.Second}.Start(t), client.Start(t)
			srv.trunk("managers", manager)
			srv.trunk("clients", client)
			a := srv.callback(order(nil))
			events := srv.expect(a.CallID, call.ManagerHungUp)
			find(t, events, call.Ringing, "c1")
			// The scenario of the client's sipp ends well only if it got its
			// CANCEL, and its ACK and BYE where it answered all the same.
			must(t, client.Wait(limit(t)))
			must(t, manager.Wait(limit(t)))
		})
	}
}

// dtmf_cancel at any moment before the join → 708: during the greeting and
// during the client's ringing.
func TestCancelKey(t *testing.T) { onBothEngines(t, cancelKey) }

func cancelKey(t *testing.T, start engine) {
	t.Helper()
	t.Run("during the greeting", func(t *testing.T) {
		t.Parallel()
		srv := start(t, serverproc.Options{})
		manager, client := peers.Answerer{Tone: managerTone}.Start(t), peers.Answerer{}.Start(t)
		srv.trunk("managers", manager)
		srv.trunk("clients", client)
		a := srv.callback(order(packet{"dtmf_cancel": "0", "greeting": "Звонок с сайта. Пожалуйста, ожидайте соединения"}))
		srv.until(a.CallID, is(call.PromptStarted, "m1"))
		manager.Audio.Press("0")
		events := srv.expect(a.CallID, call.CancelledByManager)
		if e := find(t, events, call.PromptEnded, "m1"); e.Reason == "finished" {
			t.Error("the key did not interrupt the greeting")
		}
		must(t, manager.Wait(limit(t)))
		if got := client.Messages(); len(got) > 0 {
			t.Error("the client was called")
		}
	})
	t.Run("while the client rings, by SIP INFO", func(t *testing.T) {
		t.Parallel()
		srv := start(t, serverproc.Options{})
		manager, client := peers.Answerer{Tone: managerTone}.Start(t), peers.Answerer{Ring: peers.Forever}.Start(t)
		srv.trunk("managers", manager)
		srv.trunk("clients", client)
		a := srv.callback(order(packet{"dtmf_cancel": "0"}))
		srv.until(a.CallID, is(call.Ringing, "c1"))
		manager.Audio.Press("0")
		srv.expect(a.CallID, call.CancelledByManager)
		must(t, client.Wait(limit(t)))
		must(t, manager.Wait(limit(t)))
	})
}

// Three managers in parallel with two answering in the same instant: one talks,
// the second is hung up and never heard by the client, the third is cancelled.
func TestThreeManagersInParallel(t *testing.T) { onBothEngines(t, threeManagersInParallel) }

func threeManagersInParallel(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	tones := map[string]float64{"101": 500, "102": 700, "103": 1100}
	phones := make(map[string]*peers.Baresip)
	for extension, freq := range tones {
		srv.extension(extension, nil)
		phones[extension] = peers.Phone{
			Extension: extension, Server: addrOf(t, srv.SIP), Password: phonePassword, Tone: freq,
			Manual: extension == "103", // the others answer at once, and so in the same instant
		}.Start(t)
	}
	client := peers.Answerer{Tone: clientTone, HangUp: 4 * time.Second}.Start(t)
	srv.trunk("clients", client)
	a := srv.callback(order(packet{"managers": "101_102_103", "dial_mode": "parallel", "trunks_manager": nil}))
	ctx := limit(t)
	events := srv.expect(a.CallID, call.Completed)
	must(t, client.Wait(ctx))
	// Who was not yet called when another answered is not called any more.
	rang, operator := map[string]bool{}, map[string]string{}
	for _, e := range events {
		switch e.Type {
		case call.Dialing:
			operator[e.Leg] = e.Operator
		case call.Ringing, call.Answered:
			rang[operator[e.Leg]] = true
		}
	}
	for extension, phone := range phones {
		if !rang[extension] {
			continue
		}
		if _, err := phone.Await(ctx, "CALL_CLOSED"); err != nil {
			t.Errorf("%s: %v", extension, err)
		}
	}
	winner := find(t, events, call.Answered, find(t, events, call.Joined, "").Leg).Operator
	heard := channel{name: "client", rate: 8000, samples: client.Audio.Heard()}
	for extension, freq := range tones {
		if extension == winner {
			heard.begins(t, freq)
		} else {
			heard.hasNot(t, freq, 0, time.Minute)
		}
	}
}
