package sipengine

import (
	"context"
	"errors"
	"net/netip"
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

func TestAnAnswerMakesALegAndBothHearEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(440)
		done := w.dial(t.Context())
		s := far.answers()
		l := succeeded(t, done)
		if info := l.Info(); info.Codec != media.PCMA || info.Trunk != "carrier" || info.Inbound || l.ID() != "c1" {
			t.Errorf("info %+v", info)
		}
		track := newTape()
		l.Record(track)
		far.hear(l)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = l.Play(ctx, telephony.Prompt{Clip: tone.Sine(800, time.Minute, 8000, 8000)}) }()
		mediatest.Hears(t, far.phone, 800)
		track.hears(t, 440)
		cancel()

		s.bye(`Reason: Q.850;cause=16;text="Normal call clearing"` + "\n")
		if why := ended(t, l, telephony.ByFar); why.Q850 != 16 || !strings.Contains(why.Reason, "Normal call clearing") {
			t.Errorf("ended %+v, want what the BYE's Reason says", why)
		}
		if err := l.Play(t.Context(), telephony.Prompt{Clip: tone.Beep()}); !errors.Is(err, context.Cause(l.Context())) {
			t.Errorf("play on an ended leg: %v", err)
		}
	})
}

func TestARefusalIsADialError(t *testing.T) {
	for _, tt := range []struct {
		name       string
		ring       bool
		code, q850 int
		phase      telephony.Phase
	}{
		{"busy", true, 486, 17, telephony.PhaseRinging},
		{"declined", true, 603, 21, telephony.PhaseRinging},
		{"no such number", false, 404, 1, telephony.PhaseTrying},
		{"carrier out of order", false, 503, 38, telephony.PhaseTrying},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				far := w.carrier(0)
				done := w.dial(t.Context())
				req := far.request(sip.INVITE)
				if tt.ring {
					far.reply(req, 180, "", "")
				}
				time.Sleep(2 * time.Second)
				far.reply(req, tt.code, "Reason: Q.850;cause="+itoa(tt.q850), "")
				err, at := failed(t, done, tt.code, tt.phase)
				if err.Q850 != tt.q850 || err.Trunk != "carrier" || err.Elapsed != 2*time.Second || at != 2*time.Second {
					t.Errorf("error %+v after %v", err, at)
				}
				far.request(sip.ACK)
			})
		})
	}
}

func itoa(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }

func TestWhoDoesNotAnswerIsCancelledAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		req := far.request(sip.INVITE)
		far.reply(req, 180, "", "")
		err, at := failed(t, done, 408, telephony.PhaseRinging)
		if at != 15*time.Second || !errors.Is(err, errNoAnswer) {
			t.Errorf("%v after %v", err.Err, at)
		}
		cancel := far.request(sip.CANCEL)
		if cancel.Via().Value() != req.Via().Value() || cancel.CSeq().SeqNo != req.CSeq().SeqNo || cancel.Recipient.String() != req.Recipient.String() {
			t.Errorf("the CANCEL does not match its INVITE:\n%s\n%s", req, cancel)
		}
		far.reply(cancel, 200, "", "")
		far.reply(req, 487, "", "")
		far.request(sip.ACK)
		far.silence(time.Minute)
	})
}

func TestAnAnswerThatCrossesTheCancelIsAcknowledgedAndHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		ctx, giveUp := context.WithCancelCause(t.Context())
		done := w.dial(ctx)
		req := far.request(sip.INVITE)
		far.reply(req, 180, "", "")
		synctest.Wait()
		why := errors.New("the client called back")
		giveUp(why)
		if err, _ := failed(t, done, 487, telephony.PhaseRinging); !errors.Is(err, why) {
			t.Errorf("the cause is lost: %v", err.Err)
		}
		cancel := far.request(sip.CANCEL)
		far.reply(req, 200, "", far.sdp())
		far.request(sip.ACK)
		bye := far.request(sip.BYE)
		far.reply(cancel, 200, "", "")
		far.reply(bye, 200, "", "")
		far.silence(time.Minute)
	})
}

func TestNoAnswerAtAllFailsEarlyAndIsCancelledOnlyOnceTheFarEndSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		req := far.request(sip.INVITE)
		_, at := failed(t, done, 408, telephony.PhaseTrying)
		if at != 5*time.Second {
			t.Errorf("failed after %v, want 5 s", at)
		}
		far.silence(3 * time.Second) // RFC 3261 §9.1: no CANCEL yet
		far.reply(req, 180, "", "")
		cancel := far.request(sip.CANCEL)
		far.reply(cancel, 200, "", "")
		far.reply(req, 487, "", "")
		far.request(sip.ACK)
	})
}

func TestALateAnswerToACallGivenUpIsHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		req := far.request(sip.INVITE)
		failed(t, done, 408, telephony.PhaseTrying)
		far.reply(req, 200, "", far.sdp())
		far.request(sip.ACK)
		far.reply(far.request(sip.BYE), 200, "", "")
	})
}

func TestTheListenerHearsRingbackAndThenTheEarlyMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(440)
		first := w.dial(t.Context(), func(d *telephony.Dial) { d.Leg = "m1" })
		far.answers()
		manager := succeeded(t, first)
		managerPhone := far.phone
		far.hear(manager)

		far.phone = mediatest.NewPhone(t, w.network, peerAddr.Addr(), media.PCMA, 1200)
		var heard []telephony.Progress
		done := w.dial(t.Context(), func(d *telephony.Dial) {
			d.Listener, d.Ringback = manager, telephony.Prompt{Clip: tone.Sine(425, time.Second, 8000, 8000), Loop: true}
			d.OnProgress = func(p telephony.Progress) { heard = append(heard, p) }
		})
		req := far.request(sip.INVITE)
		far.reply(req, 180, "", "")
		mediatest.Hears(t, managerPhone, 425)
		far.reply(req, 183, "", far.sdp())
		mediatest.Hears(t, managerPhone, 425) // described, but nothing is heard yet
		body := string(req.Body())
		far.phone.Call(mediaAddr(t, body))
		mediatest.Hears(t, managerPhone, 1200)
		far.reply(req, 200, "", far.sdp())
		far.request(sip.ACK)
		client := succeeded(t, done)
		mediatest.HearsNothing(t, managerPhone)
		want := []telephony.Progress{{Code: 180, Ringing: true}, {Code: 183, EarlyMedia: true}}
		if len(heard) != 2 || heard[0] != want[0] || heard[1] != want[1] {
			t.Errorf("progress %v, want %v", heard, want)
		}

		joined := make(chan error, 1)
		go func() { joined <- w.engine.Join(t.Context(), manager, client) }()
		mediatest.Hears(t, managerPhone, 1200)
		mediatest.Hears(t, far.phone, 440)
		client.Hangup(0)
		if err := <-joined; !errors.Is(err, context.Cause(client.Context())) {
			t.Errorf("join ended with %v, want the cause of the leg that left", err)
		}
		far.reply(far.request(sip.BYE), 200, "", "")
	})
}

func TestOfTwoPhonesBehindOneInviteTheSecondToAnswerIsHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		req := far.request(sip.INVITE)
		far.replyAs("one", req, 200, "", far.sdp())
		ack := far.request(sip.ACK)
		succeeded(t, done)
		far.replyAs("two", req, 200, "", far.sdp())
		loser := far.request(sip.ACK)
		if tag(ack.To().Params) != "one" || tag(loser.To().Params) != "two" {
			t.Errorf("acknowledged %s and %s", ack.To(), loser.To())
		}
		bye := far.request(sip.BYE)
		if tag(bye.To().Params) != "two" {
			t.Errorf("hung up %s", bye.To())
		}
		far.reply(bye, 200, "", "")
		// The first again, as if its ACK were lost: acknowledged again.
		far.seen = map[string]bool{}
		far.replyAs("one", req, 200, "", far.sdp())
		if again := far.request(sip.ACK); tag(again.To().Params) != "one" {
			t.Errorf("acknowledged %s", again.To())
		}
	})
}

func TestAChallengeIsAnsweredOnceWithTheNextCSeq(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ *Config, p *people) { p.trunks[0].Username, p.trunks[0].Password = "me", "secret" })
		far := w.carrier(0)
		done := w.dial(t.Context())
		first := far.request(sip.INVITE)
		challenge := `Proxy-Authenticate: Digest realm="carrier", nonce="abc", qop="auth"`
		far.reply(first, 407, challenge, "")
		far.request(sip.ACK)
		second := far.request(sip.INVITE)
		if second.CSeq().SeqNo != first.CSeq().SeqNo+1 || second.CallID().Value() != first.CallID().Value() ||
			!strings.Contains(header(second, "Proxy-Authorization"), `username="me"`) || second.Via().Value() == first.Via().Value() {
			t.Errorf("the second INVITE:\n%s", second)
		}
		far.reply(second, 407, challenge, "")
		far.request(sip.ACK)
		failed(t, done, 407, telephony.PhaseTrying)
	})
}

func TestARedirectionIsFollowedWithinTheHostOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		req := far.request(sip.INVITE)
		far.reply(req, 302, "Contact: <sip:+74950000001@10.0.0.2>", "")
		far.request(sip.ACK)
		req = far.request(sip.INVITE)
		if req.Recipient.User != "+74950000001" {
			t.Errorf("redirected to %s", req.Recipient.User)
		}
		far.reply(req, 302, "Contact: <sip:+88812345@10.9.9.9>", "")
		far.request(sip.ACK)
		failed(t, done, 302, telephony.PhaseTrying)
	})
}

func TestRedirectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		for range triesMax {
			req := far.request(sip.INVITE)
			to := "1"
			if req.Recipient.User == "1" {
				to = "2"
			}
			far.reply(req, 302, "Contact: <sip:"+to+"@10.0.0.2>", "")
			far.request(sip.ACK)
		}
		failed(t, done, 482, telephony.PhaseTrying)
	})
}

func TestAnAnswerWithoutACommonCodecIsHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		req := far.request(sip.INVITE)
		far.reply(req, 200, "", strings.ReplaceAll(strings.ReplaceAll(far.sdp(), "RTP/AVP 8", "RTP/AVP 18"), "8 PCMA", "18 G729"))
		far.request(sip.ACK)
		failed(t, done, 488, telephony.PhaseTrying)
		far.reply(far.request(sip.BYE), 200, "", "")
	})
}

func TestALongerSessionIntervalIsAgreedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		far.reply(far.request(sip.INVITE), 422, "Min-SE: 3600", "")
		far.request(sip.ACK)
		req := far.request(sip.INVITE)
		if header(req, "Session-Expires") != "3600" || header(req, "Min-SE") != "3600" {
			t.Errorf("the second INVITE:\n%s", req)
		}
		far.reply(req, 200, "", far.sdp())
		far.request(sip.ACK)
		succeeded(t, done)
	})
}

func TestATrunkThatIsFullIsNotDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ *Config, p *people) { p.trunks[0].MaxChannels = 1 })
		far := w.carrier(0)
		first := w.dial(t.Context())
		far.answers()
		l := succeeded(t, first)
		failed(t, w.dial(t.Context()), 503, telephony.PhaseSetup)
		l.Hangup(0)
		far.reply(far.request(sip.BYE), 200, "", "")
		second := w.dial(t.Context())
		far.answers()
		succeeded(t, second)
	})
}

func TestNoSuchTrunkAndNoPhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		failed(t, w.dial(t.Context(), func(d *telephony.Dial) { d.Trunk = "other" }), 404, telephony.PhaseSetup)
		failed(t, w.dial(t.Context(), func(d *telephony.Dial) { d.Trunk, d.Operator = "", "101" }), 480, telephony.PhaseSetup)
		if got := w.engine.DeviceState("101"); got != telephony.Unavailable {
			t.Errorf("device state %s", got)
		}
	})
}

func TestManyProvisionalAnswersAreTolerated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		n := 0
		done := w.dial(t.Context(), func(d *telephony.Dial) { d.OnProgress = func(telephony.Progress) { n++ } })
		req := far.request(sip.INVITE)
		for range 40 {
			far.reply(req, 180, "", "")
			time.Sleep(100 * time.Millisecond)
		}
		far.reply(req, 200, "", far.sdp())
		far.request(sip.ACK)
		succeeded(t, done)
		if n != 40 {
			t.Errorf("%d provisional answers told, want 40", n)
		}
	})
}

func TestTheAdvertisedAddressIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config, _ *people) { c.Advertise = netip.MustParseAddr("203.0.113.7") })
		far := w.carrier(0)
		done := w.dial(t.Context())
		req := far.request(sip.INVITE)
		if via, contact := req.Via(), req.Contact().Address; via.Host != "203.0.113.7" || !via.Params.Has("rport") ||
			contact.Host != "203.0.113.7" || contact.Port != 5060 || mediaAddr(t, string(req.Body())).Addr().String() != "203.0.113.7" {
			t.Errorf("the INVITE names another address:\n%s", req)
		}
		far.reply(req, 404, "", "")
		far.request(sip.ACK)
		failed(t, done, 404, telephony.PhaseTrying)
	})
}
