package sipengine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// standing is a call in that stands.
func standing(t *testing.T, change ...func(*Config, *people)) (*world, *session, telephony.Leg) {
	w := newWorld(t, change...)
	far := w.carrier(440)
	l := far.calls("")
	return w, far.picked(l), l
}

func TestHoldAndResumeByTheFarEnd(t *testing.T) {
	for _, way := range []string{"sendonly", "inactive", "0.0.0.0"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, s, l := standing(t)
				go func() { _ = l.Play(t.Context(), telephony.Prompt{Clip: tone.Sine(800, time.Minute, 8000, 8000)}) }()
				mediatest.Hears(t, s.phone, 800)

				body := s.sdp(way)
				if way == "0.0.0.0" {
					body = strings.ReplaceAll(s.sdp(), "c=IN IP4 10.0.0.2", "c=IN IP4 0.0.0.0")
				}
				s.inDialog("INVITE", 2, "", body)
				res := s.response(200, sip.INVITE)
				s.ack(2, "")
				if got := string(res.Body()); !strings.Contains(got, "a=recvonly") && !strings.Contains(got, "a=inactive") {
					t.Errorf("held, and answered\n%s", got)
				}
				mediatest.HearsNothing(t, s.phone)
				if !l.(*leg).onHold() {
					t.Error("the leg does not know that it is on hold")
				}

				s.inDialog("INVITE", 3, "", s.sdp())
				s.response(200, sip.INVITE)
				s.ack(3, "")
				mediatest.Hears(t, s.phone, 800)
				if l.(*leg).onHold() {
					t.Error("the leg is on hold still")
				}
			})
		})
	}
}

func TestAReInviteMovesTheSoundAndChangesTheCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, l := standing(t)
		go func() { _ = l.Play(t.Context(), telephony.Prompt{Clip: tone.Sine(800, time.Minute, 8000, 8000)}) }()
		mediatest.Hears(t, s.phone, 800)
		s.phone = mediatest.NewPhone(t, w.network, peerAddr.Addr(), media.PCMU, 0)
		s.inDialog("INVITE", 2, "", strings.ReplaceAll(strings.ReplaceAll(s.sdp(), "RTP/AVP 8", "RTP/AVP 0"), "8 PCMA", "0 PCMU"))
		s.response(200, sip.INVITE)
		s.ack(2, "")
		mediatest.Hears(t, s.phone, 800)
	})
}

func TestAReInviteWithoutACommonCodecLeavesTheCallAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, l := standing(t)
		s.inDialog("INVITE", 2, "", strings.ReplaceAll(strings.ReplaceAll(s.sdp(), "RTP/AVP 8", "RTP/AVP 18"), "8 PCMA", "18 G729"))
		s.response(488, sip.INVITE)
		go func() { _ = l.Play(t.Context(), telephony.Prompt{Clip: tone.Sine(800, time.Minute, 8000, 8000)}) }()
		mediatest.Hears(t, s.phone, 800)
	})
}

func TestAReInviteWithoutAnOfferRepeatsTheDescriptionInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		l := far.calls("")
		if err := l.Answer(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := far.response(200, sip.INVITE)
		s := far.acked(first, "")
		s.inDialog("INVITE", 2, "", "")
		second := s.response(200, sip.INVITE)
		if string(first.Body()) != string(second.Body()) {
			t.Errorf("described\n%s\nthen\n%s", first.Body(), second.Body())
		}
		s.ack(2, s.sdp())
		s.bye("")
		ended(t, l, telephony.ByFar)
	})
}

func TestAnUpdateIsASignOfLifeOrAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, l := standing(t)
		s.inDialog("UPDATE", 2, "", "")
		if res := s.response(200, sip.UPDATE); len(res.Body()) > 0 {
			t.Error("an UPDATE without a description was answered with one")
		}
		s.inDialog("UPDATE", 3, "", s.sdp("sendonly"))
		s.response(200, sip.UPDATE)
		if !l.(*leg).onHold() {
			t.Error("not on hold")
		}
	})
}

func TestTwoReInvitesThatCrossAreBothRefusedWith491(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		l := far.calls("Supported: timer\nSession-Expires: 100;refresher=uas\n")
		s := far.picked(l)
		ours := far.request(sip.INVITE) // the refresh, after 50 s: the far end knows no UPDATE
		s.inDialog("INVITE", 2, "", s.sdp())
		s.response(491, sip.INVITE)
		far.reply(ours, 491, "", "")
		far.request(sip.ACK)
		again := far.request(sip.INVITE) // within 2 s
		if again.CSeq().SeqNo <= ours.CSeq().SeqNo {
			t.Errorf("CSeq %d after %d", again.CSeq().SeqNo, ours.CSeq().SeqNo)
		}
		far.reply(again, 200, "Session-Expires: 100;refresher=uac", far.sdp())
		if ack := far.request(sip.ACK); ack.CSeq().SeqNo != again.CSeq().SeqNo {
			t.Errorf("acknowledged %d, want %d", ack.CSeq().SeqNo, again.CSeq().SeqNo)
		}
		s.bye("")
		ended(t, l, telephony.ByFar)
	})
}

func TestKeysByInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, l := standing(t)
		for _, body := range []string{
			"application/dtmf-relay\n\nSignal=5\nDuration=160\n",
			"application/dtmf-relay\n\nSignal= 11\nDuration=160\n",
			"application/dtmf\n\n*",
			"text/plain\n\n7",
			"application/dtmf\n\nhello",
		} {
			kind, body, _ := strings.Cut(body, "\n\n")
			s.inDialog("INFO", 0, "Content-Type: "+kind+"\n", body)
			s.response(200, sip.INFO)
		}
		var keys string
		for _, d := range l.Digits().Drain() {
			keys += string(d.Key)
			if d.Method != "info" {
				t.Errorf("method %s", d.Method)
			}
		}
		if keys != "5#*" {
			t.Errorf("keys %q, want 5#*", keys)
		}
	})
}

func TestAKeySentByTwoMethodsIsOnePress(t *testing.T) {
	var p presses
	at := time.Now()
	press := func(key byte, method string, after time.Duration) bool {
		at = at.Add(after)
		return p.first(telephony.Digit{Key: key, At: at, Method: method})
	}
	for i, tt := range []struct {
		key    byte
		method string
		after  time.Duration
		want   bool
	}{
		{'5', "rfc4733", 0, true},
		{'5', "info", 40 * time.Millisecond, false},
		{'5', "rfc4733", 200 * time.Millisecond, true}, // pressed again
		{'5', "info", 40 * time.Millisecond, false},
		{'5', "info", 300 * time.Millisecond, true}, // the other method was lost
		{'6', "info", 0, true},
		{'6', "inband", 100 * time.Millisecond, false},
		{'6', "rfc4733", 2 * time.Second, true},
	} {
		if got := press(tt.key, tt.method, tt.after); got != tt.want {
			t.Errorf("%d: %c by %s counts %v, want %v", i, tt.key, tt.method, got, tt.want)
		}
	}
}

func TestRequestsAreTakenInTheOrderOfTheirCSeq(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, l := standing(t)
		s.inDialog("BYE", 4, "", "")
		synctest.Wait() // everything that can happen in this moment has
		s.inDialog("INFO", 3, "Content-Type: application/dtmf\n", "3")
		synctest.Wait()
		s.inDialog("INFO", 2, "Content-Type: application/dtmf\n", "2")
		for _, method := range []sip.RequestMethod{sip.INFO, sip.INFO, sip.BYE} {
			s.response(200, method)
		}
		ended(t, l, telephony.ByFar)
		keys := l.Digits().Drain()
		if len(keys) != 2 || keys[0].Key != '2' || keys[1].Key != '3' {
			t.Errorf("keys %v, want 2 and 3", keys)
		}
	})
}

func TestARequestBehindALaterOneIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, _ := standing(t)
		s.inDialog("OPTIONS", 5, "", "")
		s.response(200, sip.OPTIONS)
		s.inDialog("OPTIONS", 4, "", "")
		s.response(500, sip.OPTIONS)
	})
}

func TestAReferIsDeclined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, _ := standing(t)
		s.inDialog("REFER", 2, "Refer-To: <sip:103@10.0.0.1>\n", "")
		s.response(603, sip.REFER)
	})
}

func TestTheFarEndsNewContactIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, l := standing(t)
		elsewhere := w.peerAt(netipAddrPort("10.0.0.3:5070"), 0)
		// A second Contact header would be ignored: the first is replaced.
		text := "INVITE " + s.target + " SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKmove;rport\nFrom: " + s.local + "\nTo: " + s.remote +
			"\nCall-ID: " + s.callID + "\nCSeq: 2 INVITE\nContact: <sip:moved@10.0.0.3:5070>\n" + sdpHeader + "\n" + s.sdp()
		s.send(text)
		s.response(200, sip.INVITE)
		s.ack(2, "")
		synctest.Wait()
		l.Hangup(0)
		bye := elsewhere.request(sip.BYE)
		if bye.Recipient.User != "moved" {
			t.Errorf("BYE to %s", bye.Recipient.String())
		}
		elsewhere.reply(bye, 200, "", "")
	})
}

func TestTheRouteOfTheCallIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		proxy := w.peerAt(netipAddrPort("10.0.0.4:5060"), 0)
		done := w.dial(t.Context())
		req := far.request(sip.INVITE)
		far.reply(req, 200, "Record-Route: <sip:10.0.0.5;lr>\nRecord-Route: <sip:10.0.0.4;lr>", far.sdp())
		ack := proxy.request(sip.ACK)
		l := succeeded(t, done)
		l.Hangup(0)
		bye := proxy.request(sip.BYE)
		for _, m := range []*sip.Request{ack, bye} {
			var routes []string
			for _, h := range m.GetHeaders("Route") {
				routes = append(routes, h.Value())
			}
			if got := strings.Join(routes, " "); got != "<sip:10.0.0.4;lr> <sip:10.0.0.5;lr>" || m.Recipient.User != "far" {
				t.Errorf("%s by %s to %s", m.Method, got, m.Recipient.String())
			}
		}
		proxy.reply(bye, 200, "", "")
	})
}

func TestASilentPhoneEndsTheLegUnlessOnHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, l := standing(t, func(c *Config, _ *people) { c.MediaTimeout = 30 * time.Second })
		s.hear(l)
		time.Sleep(time.Minute)
		if l.Context().Err() != nil {
			t.Fatalf("ended while the phone spoke: %v", l.Context().Err())
		}
		s.inDialog("INVITE", 2, "", s.sdp("sendonly"))
		s.response(200, sip.INVITE)
		s.ack(2, "")
		s.phone.Mute(true)
		time.Sleep(time.Minute)
		if l.Context().Err() != nil {
			t.Fatal("ended on hold")
		}
		s.inDialog("INVITE", 3, "", s.sdp())
		s.response(200, sip.INVITE)
		s.ack(3, "")
		resumed := time.Now()
		why := ended(t, l, telephony.ByNetwork)
		if after := time.Since(resumed); after < 30*time.Second || after > 32*time.Second || !strings.Contains(why.Reason, "no media") {
			t.Errorf("ended %v after %v", why, after)
		}
		s.reply(s.request(sip.BYE), 200, "", "")
	})
}
