package sipengine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/digestauth"
)

// register registers the peer as a phone of an operator.
func (p *peer) register(extension, password string) {
	p.w.Helper()
	text := fmt.Sprintf("REGISTER sip:%[1]s SIP/2.0\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bKreg%%d;rport\nMax-Forwards: 70\nFrom: <sip:%[3]s@%[1]s>;tag=r\nTo: <sip:%[3]s@%[1]s>\n"+
		"Call-ID: reg-%[2]s\nCSeq: %%[1]d REGISTER\nContact: <sip:%[3]s@%[2]s>\nExpires: 600\n%%s", engineAddr, p.addr, extension)
	first := fmt.Sprintf(text, 1, "")
	p.send(first)
	challenge := p.response(401, sip.REGISTER)
	p.send(fmt.Sprintf(text, 2, p.authorization(first, challenge, extension, password)))
	p.response(200, sip.REGISTER)
}

// authorization is the header line that answers a challenge to a request.
func (p *peer) authorization(text string, challenge *sip.Response, user, password string) string {
	p.w.Helper()
	head, _, _ := strings.Cut(text, "\n\n")
	m, err := sip.ParseMessage([]byte(strings.ReplaceAll(strings.TrimSpace(head), "\n", "\r\n") + "\r\nContent-Length: 0\r\n\r\n"))
	if err != nil {
		p.w.Fatal(err)
	}
	fresh, err := digestauth.Authorize(m.(*sip.Request), challenge, user, password)
	if err != nil {
		p.w.Fatal(err)
	}
	return "Authorization: " + header(fresh, "Authorization") + "\n"
}

func (w *world) dialOperator(extension string) <-chan dialled {
	return w.dial(w.Context(), func(d *telephony.Dial) {
		d.Leg, d.Trunk, d.Number, d.Operator = "m1", "", "", extension
		d.CallerName = "The \"client\"\r\nVia: x"
	})
}

func TestAllPhonesOfAnOperatorRingAndTheFirstToAnswerWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		desk, soft := w.peerAt(netipAddrPort("10.0.1.1:5060"), 440), w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
		desk.register("101", "secret")
		soft.register("101", "secret")
		state := func(want telephony.DeviceState) {
			t.Helper()
			synctest.Wait()
			if got := w.engine.DeviceState("101"); got != want {
				t.Errorf("device state %s, want %s", got, want)
			}
		}
		state(telephony.NotInUse)
		done := w.dialOperator("101")
		a, b := desk.request(sip.INVITE), soft.request(sip.INVITE)
		if name := a.From().DisplayName; strings.ContainsAny(name, "\r\n") || a.GetHeader("x") != nil {
			t.Errorf("the caller's name is %q", name)
		}
		desk.reply(a, 180, "", "")
		soft.reply(b, 180, "", "")
		state(telephony.Ringing)
		desk.reply(a, 200, "", desk.sdp())
		desk.request(sip.ACK)
		l := succeeded(t, done)
		cancel := soft.request(sip.CANCEL)
		if !strings.Contains(header(cancel, "Reason"), "cause=200") {
			t.Errorf("the other phone is not told that the call was answered: %q", header(cancel, "Reason"))
		}
		soft.reply(cancel, 200, "", "")
		soft.reply(b, 487, "", "")
		soft.request(sip.ACK)
		if l.Info().Operator != "101" {
			t.Errorf("info %+v", l.Info())
		}
		state(telephony.InUse)
		s := desk.sessionOf(a)
		s.inDialog("INVITE", 0, "", s.sdp("sendonly"))
		s.response(200, sip.INVITE)
		s.ack(s.seq, "")
		state(telephony.OnHold)
		s.bye("")
		ended(t, l, telephony.ByFar)
		state(telephony.NotInUse)
	})
}

func TestTwoPhonesThatAnswerInOneMomentGiveOneLeg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		desk, soft := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0), w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
		desk.register("101", "secret")
		soft.register("101", "secret")
		done := w.dialOperator("101")
		a, b := desk.request(sip.INVITE), soft.request(sip.INVITE)
		desk.reply(a, 180, "", "")
		soft.reply(b, 180, "", "")
		synctest.Wait()
		desk.reply(a, 200, "", desk.sdp())
		soft.reply(b, 200, "", soft.sdp())
		l := succeeded(t, done)
		byes := 0
		for _, p := range []*peer{desk, soft} {
			for m := p.next(time.Second); m != nil; m = p.next(time.Second) {
				if req, ok := m.(*sip.Request); ok && req.Method != sip.ACK {
					p.reply(req, 200, "", "")
					if req.Method == sip.BYE {
						byes++
					}
				}
			}
		}
		if byes != 1 || l.Context().Err() != nil {
			t.Errorf("%d phones were hung up, want one; the leg: %v", byes, context.Cause(l.Context()))
		}
	})
}

func TestABusyPhoneDoesNotEndTheRingingOfTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		desk, soft := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0), w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
		desk.register("101", "secret")
		soft.register("101", "secret")
		done := w.dialOperator("101")
		a, b := desk.request(sip.INVITE), soft.request(sip.INVITE)
		soft.reply(b, 180, "", "")
		desk.reply(a, 486, "", "")
		desk.request(sip.ACK)
		time.Sleep(5 * time.Second)
		soft.reply(b, 480, "", "")
		soft.request(sip.ACK)
		err, at := failed(t, done, 486, telephony.PhaseTrying) // the phone's own word
		if at != 5*time.Second {
			t.Errorf("%v after %v", err, at)
		}
	})
}

func TestADeclineOnOnePhoneEndsTheRingingOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		desk, soft := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0), w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
		desk.register("101", "secret")
		soft.register("101", "secret")
		done := w.dialOperator("101")
		a, b := desk.request(sip.INVITE), soft.request(sip.INVITE)
		desk.reply(a, 180, "", "")
		soft.reply(b, 180, "", "")
		synctest.Wait()
		desk.reply(a, 603, "", "")
		failed(t, done, 603, telephony.PhaseRinging)
		soft.reply(soft.request(sip.CANCEL), 200, "", "")
		soft.reply(b, 487, "", "")
	})
}

// callsAs calls the engine and answers its challenge.
func (p *peer) callsAs(user, password string) telephony.Leg {
	p.w.Helper()
	first := p.invite(sdpHeader)
	p.send(first + "\n" + p.sdp())
	challenge := p.response(401, sip.INVITE)
	s := &session{peer: p, callID: "in-1", local: challenge.From().Value(), remote: challenge.To().Value(), target: "sip:x@10.0.0.1"}
	s.ack(1, "")
	second := strings.ReplaceAll(strings.ReplaceAll(first, "in1", "in2"), "CSeq: 1", "CSeq: 2")
	p.send(second + p.authorization(second, challenge, user, password) + "\n" + p.sdp())
	return p.leg()
}

func TestAnOperatorCallsWithHerPasswordOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		phone := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0)
		l := phone.callsAs("101", "secret")
		if info := l.Info(); info.Operator != "101" || info.Trunk != "" {
			t.Errorf("info %+v", info)
		}
		phone.picked(l)
		if got := w.engine.DeviceState("101"); got != telephony.InUse {
			t.Errorf("device state %s", got)
		}
		l.Hangup(0)
		phone.reply(phone.request(sip.BYE), 200, "", "")
	})
}

func TestATrunkThatCallsFromAnotherAddressIsKnownByItsPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ *Config, p *people) { p.trunks[0].Username, p.trunks[0].Password = "account", "shared" })
		far := w.peerAt(netipAddrPort("10.0.9.9:5060"), 0)
		l := far.callsAs("account", "shared")
		if info := l.Info(); info.Operator != "" || info.Trunk != "carrier" {
			t.Errorf("info %+v", info)
		}
		l.Hangup(486)
		far.response(486, sip.INVITE)
	})
}

func TestAStrangerGetsAChallengeAndThenSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stranger := w.peerAt(netipAddrPort("10.6.6.6:5060"), 0)
		answers := 0
		for n := range 10 {
			text := strings.ReplaceAll(strings.ReplaceAll(stranger.invite(""), "in1", fmt.Sprint("x", n)), "in-1", fmt.Sprint("x-", n))
			stranger.send(text + "\n")
			m := stranger.next(40 * time.Second)
			if m == nil {
				break
			}
			challenge := m.(*sip.Response)
			if challenge.StatusCode == 100 {
				challenge = stranger.response(401, sip.INVITE)
			}
			if challenge.StatusCode != 401 {
				t.Fatalf("got %s", challenge.StartLine())
			}
			answers++
			text = strings.ReplaceAll(text, "CSeq: 1", "CSeq: 2")
			text = strings.ReplaceAll(text, "branch=z9hG4bK", "branch=z9hG4bKguess")
			stranger.send(text + stranger.authorization(text, challenge, "101", fmt.Sprint("guess", n)) + "\n")
			if m := stranger.next(time.Second); m == nil {
				break
			}
		}
		if answers == 0 || answers > 6 {
			t.Errorf("%d challenges, want a few", answers)
		}
		stranger.send(stranger.invite("") + "\n")
		for m := stranger.next(time.Second); m != nil; m = stranger.next(time.Second) {
			if m.(*sip.Response).StatusCode == 100 {
				t.Error("a silenced address is answered")
			}
		}
	})
}
