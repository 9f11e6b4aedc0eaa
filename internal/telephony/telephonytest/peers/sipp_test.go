package peers

import (
	"context"
	"strings"
	"testing"
	"time"
)

// Tones that nothing else makes; 40 Hz apart would do.
const (
	callerTone   = 700
	answererTone = 1100
)

func TestCallerAndAnswererHearEachOther(t *testing.T) {
	t.Parallel()
	carrier := Answerer{Tone: answererTone, Ring: 200 * time.Millisecond}.Start(t)
	caller := Caller{Server: carrier.Addr(), Number: "79161234567", From: "101", Tone: callerTone, HangUp: 4 * time.Second}.Start(t)
	ctx := limit(t)
	must(t, caller.Audio.Hears(ctx, answererTone))
	must(t, carrier.Audio.Hears(ctx, callerTone))
	carrier.Audio.Press("12#")
	must(t, caller.Wait(ctx))
	must(t, carrier.Wait(ctx))
	if got := caller.Audio.Digits(); got != "12#" {
		t.Errorf("pressed 12#, heard %q", got)
	}
	invite, err := carrier.Await(ctx, "INVITE")
	must(t, err)
	if from := invite.Header("From"); !strings.Contains(from, "sip:101@") {
		t.Errorf("From is %q", from)
	}
}

func TestAnswererDoesWhatItIsTold(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answerer Answerer
		caller   Caller
	}{
		"busy":             {Answerer{Refuse: 486}, Caller{Expect: 486}},
		"declines ringing": {Answerer{Refuse: 603, Ring: 100 * time.Millisecond}, Caller{Expect: 603}},
		"trunk fails":      {Answerer{Refuse: 503, NoRinging: true, Header: "Reason: Q.850;cause=34"}, Caller{Expect: 503}},
		"hangs up":         {Answerer{HangUp: 100 * time.Millisecond}, Caller{}},
		"no ringing":       {Answerer{NoRinging: true}, Caller{HangUp: 100 * time.Millisecond}},
		"proof of identity": {
			Answerer{Username: "perezvon", Password: "secret"},
			Caller{Username: "perezvon", Password: "secret", HangUp: 100 * time.Millisecond},
		},
		"wrong proof": {
			Answerer{Username: "perezvon", Password: "secret"},
			Caller{Username: "perezvon", Password: "wrong", Expect: 403},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			carrier := tt.answerer.Start(t)
			tt.caller.Server, tt.caller.Number, tt.caller.From = carrier.Addr(), "79161234567", "101"
			caller := tt.caller.Start(t)
			must(t, caller.Wait(limit(t)))
			must(t, carrier.Wait(limit(t)))
		})
	}
}

func TestEarlyMediaIsHeardBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	carrier := Answerer{Tone: answererTone, Early: true, Ring: 3 * time.Second}.Start(t)
	caller := Caller{Server: carrier.Addr(), Number: "1", From: "101", HangUp: 100 * time.Millisecond}.Start(t)
	must(t, caller.Audio.Hears(limit(t), answererTone))
	for _, m := range caller.Messages() {
		if m.Status() == "200" {
			t.Error("it was answered before")
		}
	}
	must(t, caller.Wait(limit(t)))
	must(t, carrier.Wait(limit(t)))
}

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
