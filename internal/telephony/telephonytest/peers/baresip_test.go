package peers

import (
	"fmt"
	"testing"
	"time"
)

const phoneTone = 900

func TestPhoneAndCarrierHearEachOther(t *testing.T) {
	t.Parallel()
	carrier := Answerer{Tone: answererTone}.Start(t)
	phone := Phone{Extension: "101", Tone: phoneTone}.Start(t)
	ctx := limit(t)
	must(t, phone.Dial(fmt.Sprintf("sip:79161234567@%s;transport=udp", carrier.Addr())))
	_, err := phone.Await(ctx, "CALL_ESTABLISHED")
	must(t, err)
	must(t, phone.Hears(ctx, answererTone))
	must(t, carrier.Audio.Hears(ctx, phoneTone))
	must(t, phone.HangUp())
	must(t, carrier.Wait(ctx))
}

func TestPhoneAnswersByItself(t *testing.T) {
	t.Parallel()
	phone := Phone{Extension: "101", Tone: phoneTone}.Start(t)
	caller := Caller{Server: phone.Addr(), Number: "101", From: "102", Tone: callerTone}.Start(t)
	ctx := limit(t)
	must(t, caller.Audio.Hears(ctx, phoneTone))
	must(t, phone.Hears(ctx, callerTone))
	must(t, phone.Press("5"))
	must(t, phone.HangUp())
	must(t, caller.Wait(ctx))
}

func TestPhoneDeclinesTheCallThatRings(t *testing.T) {
	t.Parallel()
	phone := Phone{Extension: "101", Manual: true}.Start(t)
	caller := Caller{Server: phone.Addr(), Number: "101", From: "102", Expect: 486}.Start(t)
	ctx := limit(t)
	_, err := phone.Await(ctx, "CALL_INCOMING")
	must(t, err)
	must(t, phone.HangUp())
	must(t, caller.Wait(ctx))
}

func TestPhoneRingsUntilItAnswers(t *testing.T) {
	t.Parallel()
	phone := Phone{Extension: "101", Tone: phoneTone, Manual: true}.Start(t)
	caller := Caller{Server: phone.Addr(), Number: "101", From: "102", HangUp: 300 * time.Millisecond}.Start(t)
	ctx := limit(t)
	_, err := caller.Await(ctx, "180")
	must(t, err)
	must(t, phone.Answer())
	must(t, caller.Wait(ctx))
	_, err = phone.Await(ctx, "CALL_CLOSED")
	must(t, err)
}

func TestCancelEndsACarrierThatRingsForever(t *testing.T) {
	t.Parallel()
	carrier := Answerer{Ring: Forever}.Start(t)
	phone := Phone{Extension: "101"}.Start(t)
	ctx := limit(t)
	must(t, phone.Dial(fmt.Sprintf("sip:1@%s;transport=udp", carrier.Addr())))
	_, err := phone.Await(ctx, "CALL_RINGING")
	must(t, err)
	must(t, phone.HangUp())
	must(t, carrier.Wait(ctx))
	_, err = carrier.Await(ctx, "CANCEL")
	must(t, err)
}

func TestAnswerCrossesTheCancel(t *testing.T) {
	t.Parallel()
	carrier := Answerer{Ring: Forever, CrossCancel: true}.Start(t)
	phone := Phone{Extension: "101"}.Start(t)
	ctx := limit(t)
	must(t, phone.Dial(fmt.Sprintf("sip:1@%s;transport=udp", carrier.Addr())))
	_, err := phone.Await(ctx, "CALL_RINGING")
	must(t, err)
	must(t, phone.HangUp())
	_, err = carrier.Await(ctx, "CANCEL")
	must(t, err)
	answered := func() bool {
		for _, m := range carrier.Messages() {
			if !m.Received && m.Status() == "200" && m.isInvite() {
				return true
			}
		}
		return false
	}
	if !carrier.process.until(ctx, answered) {
		t.Error("the call was not answered")
	}
}

func TestKeysByINFOReachThePhone(t *testing.T) {
	t.Parallel()
	carrier := Answerer{Info: "5#"}.Start(t)
	phone := Phone{Extension: "101"}.Start(t)
	ctx := limit(t)
	must(t, phone.Dial(fmt.Sprintf("sip:1@%s;transport=udp", carrier.Addr())))
	_, err := phone.Await(ctx, "CALL_DTMF_START")
	must(t, err)
	_, err = carrier.AwaitN(ctx, "200", 2)
	must(t, err)
	must(t, phone.HangUp())
	must(t, carrier.Wait(ctx))
}

func TestHoldAndResumeReachTheCarrier(t *testing.T) {
	t.Parallel()
	carrier := Answerer{Tone: answererTone}.Start(t)
	phone := Phone{Extension: "101", Tone: phoneTone}.Start(t)
	ctx := limit(t)
	must(t, phone.Dial(fmt.Sprintf("sip:1@%s;transport=udp", carrier.Addr())))
	must(t, phone.Hears(ctx, answererTone))
	must(t, phone.Hold())
	_, err := carrier.AwaitN(ctx, "INVITE", 2)
	must(t, err)
	must(t, phone.Resume())
	_, err = carrier.AwaitN(ctx, "INVITE", 3)
	must(t, err)
	must(t, phone.HangUp())
	must(t, carrier.Wait(ctx))
}
