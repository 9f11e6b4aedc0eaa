package e2e

import (
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// people are a manager and a client behind trunks of their own.
func people(t *testing.T, srv *server, client peers.Answerer) (manager, called *peers.Sipp) {
	t.Helper()
	manager, called = peers.Answerer{Tone: managerTone}.Start(t), client.Start(t)
	srv.trunk("managers", manager)
	srv.trunk("clients", called)
	return manager, called
}

// Smartcall on a real phone: the extra info on its key, then the client on the
// connect key.
func TestSmartcallKeys(t *testing.T) { onBothEngines(t, smartcallKeys) }

func smartcallKeys(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	manager, client := people(t, srv, peers.Answerer{Tone: clientTone, HangUp: time.Second})
	a := srv.callback(order(packet{"dtmf_connect": "5", "dtmf_extra_info": "2", "extra_info": "1 2 3"}))
	srv.until(a.CallID, func(e call.Event) bool { return e.Type == call.PromptStarted && e.Prompt == "instructions" })
	manager.Audio.Press("2")
	srv.until(a.CallID, func(e call.Event) bool { return e.Type == call.PromptStarted && e.Prompt == "extra_info" })
	manager.Audio.Press("5")
	events := srv.expect(a.CallID, call.Completed)
	var keys []string
	for _, e := range events {
		if e.Type == call.KeyPressed {
			keys = append(keys, e.Digits+" "+e.Action)
		}
	}
	if len(keys) != 2 || keys[0][:1] != "2" || keys[1][:1] != "5" {
		t.Errorf("keys taken: %q", keys)
	}
	must(t, client.Wait(limit(t)))
	must(t, manager.Wait(limit(t)))
}

// The repeat limit on a real phone: the manager presses nothing, hears the IVR
// text and the instructions as often as ivr_repeats_before_connect says, and the
// client is called. The limit that ends the call needs 17 rounds of more than
// three seconds: TestTheManagerHearsTheTextAsOftenAsTheLimitSays has it, on the
// same engine in virtual time.
func TestRepeatLimitWithAPhone(t *testing.T) { onBothEngines(t, repeatLimitWithAPhone) }

func repeatLimitWithAPhone(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	manager, client := people(t, srv, peers.Answerer{Refuse: 486})
	a := srv.callback(order(packet{
		"dtmf_connect": "5", "language": "en", "greeting": "1", "ivr_text": "1", "connecting_text": "2", "ivr_repeats_before_connect": 2,
	}))
	before := srv.until(a.CallID, is(call.Dialing, "c1"))
	spoken := map[string]int{}
	for _, e := range before {
		if e.Type == call.PromptStarted {
			spoken[e.Prompt]++
		}
	}
	if spoken["ivr"] != 2 || spoken["instructions"] != 2 {
		t.Errorf("spoken: %v", spoken)
	}
	// Each round ends with three seconds in which to press something.
	if gaps := mediatest.Gaps(manager.Audio.Heard(), 8000, 2500*time.Millisecond); len(gaps) != 2 {
		t.Errorf("the phone heard %d times of silence: %v", len(gaps), gaps)
	}
	srv.expect(a.CallID, call.ClientBusy)
	must(t, client.Wait(limit(t)))
	must(t, manager.Wait(limit(t)))
}

// The reschedule key ends the call with 709; the client is not called.
func TestRescheduleKey(t *testing.T) { onBothEngines(t, rescheduleKey) }

func rescheduleKey(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	manager, client := people(t, srv, peers.Answerer{})
	a := srv.callback(order(packet{"dtmf_connect": "5", "dtmf_reschedule": "7"}))
	srv.until(a.CallID, is(call.PromptStarted, "m1"))
	manager.Audio.Press("7")
	srv.expect(a.CallID, call.RescheduledByManager)
	must(t, manager.Wait(limit(t)))
	if len(client.Messages()) > 0 {
		t.Error("the client was called")
	}
}

// After the client's leg has ended the manager may drop what is planned.
func TestAfterCallKey(t *testing.T) { onBothEngines(t, afterCallKey) }

func afterCallKey(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	manager, client := people(t, srv, peers.Answerer{Tone: clientTone, HangUp: time.Second})
	a := srv.callback(order(packet{"dtmf_cancel_recalls": "9"}))
	srv.until(a.CallID, func(e call.Event) bool { return e.Type == call.PromptStarted && e.Prompt == "after_call" })
	manager.Audio.Press("9")
	events := srv.expect(a.CallID, call.Completed)
	if e := find(t, events, call.Ended, ""); !e.CancelRecalls {
		t.Errorf("the recalls were not dropped: %+v", e)
	}
	must(t, client.Wait(limit(t)))
	must(t, manager.Wait(limit(t)))
}

// recall_intervals of the widget: a busy client is called again, the attempt
// grows, and nothing is planned after the last interval.
func TestRecall(t *testing.T) { onBothEngines(t, recall) }

func recall(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	manager := peers.Answerer{Tone: managerTone, Calls: 2}.Start(t)
	client := peers.Answerer{Refuse: 486, Calls: 2}.Start(t)
	srv.trunk("managers", manager)
	srv.trunk("clients", client)
	must(t, srv.API.Do(limit(t), "PUT", "/api/v1/widgets/site", map[string]any{"recall_intervals": []string{"10s"}}, nil))
	a := srv.callback(order(packet{"widget": "site"}))
	srv.expect(a.CallID, call.ClientBusy)
	var cb struct {
		State    string
		Attempts []struct {
			Attempt int
			CallID  string `json:"call_id"`
			Status  *call.Status
		}
	}
	until(t, "the second attempt has ended", func() bool {
		must(t, srv.API.Do(limit(t), "GET", "/api/v1/callbacks/"+a.ID, nil, &cb))
		return cb.State == "done"
	})
	if len(cb.Attempts) != 2 || cb.Attempts[1].Attempt != 2 || *cb.Attempts[1].Status != call.ClientBusy || cb.Attempts[1].CallID == a.CallID {
		t.Errorf("attempts: %+v", cb.Attempts)
	}
	must(t, client.Wait(limit(t)))
	must(t, manager.Wait(limit(t)))
}
