package sipengine_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/registrar"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/trunk"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

// withTrunk runs an engine with one trunk to a carrier.
func withTrunk(t *testing.T, carrier *telephonytest.SIPPhone, d directory.Trunk) *sipengine.Engine {
	t.Helper()
	d.Name, d.Host, d.Port = "carrier", carrier.Addr().Addr().String(), int(carrier.Addr().Port())
	return startEngine(t, sipengine.Config{
		Directory: place{trunks: []directory.Trunk{d}},
		Handler:   func(_ context.Context, l telephony.Leg) { l.Hangup(486) },
	})
}

// until waits until cond is true, and fails after 30 s.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !cond() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("never came true: %s", what)
		}
	}
}

func TestARestartOfTheEngineDoesNotLoseThePhones(t *testing.T) {
	c := sipengine.Config{
		Directory: place{operator: directory.Operator{Extension: "101", Password: "secret"}},
		Phones:    registrar.File(filepath.Join(t.TempDir(), "phones.json")),
	}
	phone := telephonytest.NewSIPPhone(t, 600)
	first := startEngine(t, c)
	if code := phone.Register(first.Addr(), "101", "secret", 300); code != 200 {
		t.Fatalf("REGISTER: %d", code)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := startEngine(t, c)
	phone.Behave(telephonytest.Manner{Answers: true})
	l, err := second.Dial(t.Context(), telephony.Dial{Leg: "m1", Operator: "101"})
	if err != nil {
		t.Fatal(err)
	}
	l.Hangup(0)
}

func TestTrunkRegistersWithThePasswordAndTakesItBackAtTheEnd(t *testing.T) {
	carrier := telephonytest.NewSIPPhone(t, 600)
	carrier.Behave(telephonytest.Manner{Demands: "secret"})
	e := withTrunk(t, carrier, directory.Trunk{Register: true, Username: "acme", Password: "secret"})
	until(t, "it is registered", func() bool { return e.TrunkStates()[0].Registered })
	if want := "sip:acme@" + e.Addr().String(); carrier.Account() != want {
		t.Errorf("registered %q, want %q", carrier.Account(), want)
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if carrier.Account() != "" {
		t.Error("still registered")
	}
}

func TestTrunkThatDoesNotAnswerOptionsIsNotDialled(t *testing.T) {
	carrier := telephonytest.NewSIPPhone(t, 600)
	carrier.Behave(telephonytest.Manner{Refuses: 486})
	e := withTrunk(t, carrier, directory.Trunk{OptionsS: 1})
	dial := func() *telephony.DialError {
		_, err := e.Dial(t.Context(), telephony.Dial{Leg: "c1", Trunk: "carrier", Number: "+74951234567"})
		var failure *telephony.DialError
		if !errors.As(err, &failure) {
			t.Fatalf("%v", err)
		}
		return failure
	}
	if err := dial(); err.Code != 486 {
		t.Errorf("%v", err)
	}
	carrier.Behave(telephonytest.Manner{Refuses: 486, Unavailable: true})
	until(t, "it is down", func() bool { return !e.TrunkStates()[0].Healthy })
	if err := dial(); err.Code != 503 || err.Phase != telephony.PhaseSetup {
		t.Errorf("%v", err)
	}
	carrier.Behave(telephonytest.Manner{Refuses: 486})
	until(t, "it is up", func() bool { return e.TrunkStates()[0] == trunk.State{Name: "carrier", Asked: true, Healthy: true} })
	if err := dial(); err.Code != 486 {
		t.Errorf("%v", err)
	}
}

func TestTrunkTakesNoMoreCallsThanItHasChannels(t *testing.T) {
	carrier := telephonytest.NewSIPPhone(t, 600)
	carrier.Behave(telephonytest.Manner{Answers: true})
	e := withTrunk(t, carrier, directory.Trunk{MaxChannels: 1})
	order := telephony.Dial{Leg: "c1", Trunk: "carrier", Number: "+74951234567"}
	l, err := e.Dial(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	var failure *telephony.DialError
	if _, err := e.Dial(t.Context(), order); !errors.As(err, &failure) || failure.Code != 503 || failure.Phase != telephony.PhaseSetup {
		t.Errorf("%v", err)
	}
	l.Hangup(0)
	until(t, "the channel is free", func() bool { return e.TrunkStates()[0].Channels == 0 })
	until(t, "the carrier is free", func() bool { return carrier.State() == telephonytest.PhoneIdle })
	if l, err = e.Dial(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	l.Hangup(0)
}
