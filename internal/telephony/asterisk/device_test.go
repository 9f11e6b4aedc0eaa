package asterisk_test

import (
	"context"
	"testing"

	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

func TestWhoeverWatchesIsToldWhatPhonesDo(t *testing.T) {
	r := newRig(t)
	e, _ := r.Engine.(*asterisk.Engine)
	ctx, cancel := context.WithCancel(t.Context())
	told, done := make(chan telephony.DeviceState, 16), make(chan struct{})
	go func() {
		defer close(done)
		for extension, state := range e.DeviceStates(ctx) {
			if extension == r.Extension {
				told <- state
			}
		}
	}()
	until := func(want telephony.DeviceState) {
		t.Helper()
		for state := range told {
			if state == want {
				return
			}
		}
	}
	if code := r.Operator.Register(r.Server, r.Extension, r.Password, 300); code != 200 {
		t.Fatalf("REGISTER: %d", code)
	}
	until(telephony.NotInUse)
	r.Operator.Behave(telephonytest.Manner{Answers: true})
	l, err := e.Dial(ctx, telephony.Dial{Leg: "m1", Operator: r.Extension})
	if err != nil {
		t.Fatal(err)
	}
	until(telephony.InUse)
	l.Hangup(0)
	until(telephony.NotInUse)
	cancel()
	<-done
}
