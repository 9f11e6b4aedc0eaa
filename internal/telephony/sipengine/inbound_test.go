package sipengine

import (
	"context"
	"errors"
	"fmt"
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

func TestACallFromATrunkIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(440)
		l := far.calls("")
		if err := l.Ringing(t.Context()); err != nil {
			t.Fatal(err)
		}
		far.response(180, sip.INVITE)
		s := far.picked(l)
		info := l.Info()
		if !info.Inbound || info.Trunk != "carrier" || info.From != "+79161234567" || info.FromName != "Client" ||
			info.To != "74950000000" || info.Operator != "" || info.Codec != media.PCMA || info.CallID != "in-1" {
			t.Errorf("info %+v", info)
		}
		go func() { _ = l.Play(t.Context(), telephony.Prompt{Clip: tone.Sine(800, time.Minute, 8000, 8000)}) }()
		mediatest.Hears(t, far.phone, 800)
		s.bye("")
		ended(t, l, telephony.ByFar)
	})
}

func TestAnAnswerWithoutAckIsRepeatedAndHungUpAfter32Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		l := far.calls("")
		if err := l.Answer(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		far.response(200, sip.INVITE)
		var at []time.Duration
		for {
			m := <-far.in
			if res, ok := m.(*sip.Response); ok && res.StatusCode == 200 {
				at = append(at, time.Since(began))
				continue
			}
			bye, ok := m.(*sip.Request)
			if !ok || bye.Method != sip.BYE {
				t.Fatalf("got\n%s\nwant a BYE", m)
			}
			far.reply(bye, 200, "", "")
			break
		}
		if took := time.Since(began); took != 32*time.Second {
			t.Errorf("BYE after %v, want 32 s", took)
		}
		// RFC 3261 §13.3.1.4: T1, doubling up to T2.
		want := []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond, 7500 * time.Millisecond, 11500 * time.Millisecond}
		if len(at) < len(want) || fmt.Sprint(at[:len(want)]) != fmt.Sprint(want) {
			t.Errorf("repeated at %v, want first %v", at, want)
		}
		ended(t, l, telephony.ByNetwork)
	})
}

func TestHangupBeforeTheAckWaitsForItWithTheBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		l := far.calls("")
		if err := l.Answer(t.Context()); err != nil {
			t.Fatal(err)
		}
		res := far.response(200, sip.INVITE)
		l.Hangup(0)
		ended(t, l, telephony.ByUs)
		far.silence(300 * time.Millisecond)
		far.acked(res, "")
		far.reply(far.request(sip.BYE), 200, "", "")
	})
}

func TestAByeWithoutAnAckEndsTheRepetitionOfTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		l := far.calls("")
		if err := l.Answer(t.Context()); err != nil {
			t.Fatal(err)
		}
		res := far.response(200, sip.INVITE)
		s := &session{peer: far, callID: "in-1", local: res.From().Value(), remote: res.To().Value(), target: res.Contact().Address.String()}
		s.bye("")
		ended(t, l, telephony.ByFar)
		for len(far.in) > 0 {
			<-far.in
		}
		time.Sleep(time.Minute)
		if n := len(far.in); n > 0 {
			t.Errorf("%d messages after the end", n)
		}
	})
}

func TestACallerWhoGivesUpEndsTheLeg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		l := far.calls("")
		if err := l.Ringing(t.Context()); err != nil {
			t.Fatal(err)
		}
		far.response(180, sip.INVITE)
		far.send(strings.ReplaceAll(strings.ReplaceAll(far.invite(""), "INVITE sip", "CANCEL sip"), "1 INVITE", "1 CANCEL"))
		far.response(200, sip.CANCEL)
		far.response(487, sip.INVITE)
		if why := ended(t, l, telephony.ByFar); why.Code != 487 {
			t.Errorf("ended %+v, want code 487", why)
		}
		if err := l.Answer(t.Context()); err == nil {
			t.Error("a cancelled call could be answered")
		}
	})
}

func TestAnAnswerThatCrossesTheCallersCancelIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		l := far.calls("")
		far.send(strings.ReplaceAll(strings.ReplaceAll(far.invite(""), "INVITE sip", "CANCEL sip"), "1 INVITE", "1 CANCEL"))
		far.response(200, sip.CANCEL)
		far.response(487, sip.INVITE)
		ended(t, l, telephony.ByFar)
		// As if the leg had not been told yet.
		synctest.Wait()
		in := l.(*leg).in
		in.mu.Lock()
		in.state = open
		in.mu.Unlock()
		if sent, err := in.final(l.(*leg).reply(in.req, 200, "OK")); sent || !errors.Is(err, errCancelled) {
			t.Errorf("answered: %v, %v", sent, err)
		}
		// The 487 is repeated, as nobody acknowledges it; never a 200.
		for range 5 {
			if m, ok := (<-far.in).(*sip.Response); !ok || m.StatusCode != 487 {
				t.Fatalf("got\n%s\nwant 487", m)
			}
		}
	})
}

func TestAHandlerThatReturnsRefusesTheCall(t *testing.T) {
	for code, want := range map[int]int{0: 603, 486: 486} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(c *Config, _ *people) {
				c.Handler = func(_ context.Context, l telephony.Leg) {
					if code != 0 {
						l.Hangup(code)
					}
				}
			})
			far := w.carrier(0)
			far.send(far.invite(sdpHeader) + "\n" + far.sdp())
			res := far.response(want, sip.INVITE)
			s := &session{peer: far, callID: "in-1", local: res.From().Value(), remote: res.To().Value(), target: "sip:x@10.0.0.1"}
			s.ack(1, "")
		})
	}
}

func TestACallWithoutAnOfferIsAnsweredWithOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(440)
		far.send(far.invite("") + "\n")
		l := far.leg()
		answered := make(chan error, 1)
		go func() { answered <- l.Answer(t.Context()) }()
		res := far.response(200, sip.INVITE)
		synctest.Wait()
		select {
		case err := <-answered:
			t.Fatalf("answered before the far end has said where to speak to: %v", err)
		default:
		}
		far.acked(res, far.sdp())
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		track := newTape()
		l.Record(track)
		far.phone.Call(mediaAddr(t, string(res.Body())))
		track.hears(t, 440)
		if got := l.Info().Codec; got != media.PCMA {
			t.Errorf("codec %v", got)
		}
	})
}

func TestACallWithoutACommonCodecIsRefusedWith488(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		far.send(far.invite(sdpHeader) + "\n" + strings.ReplaceAll(strings.ReplaceAll(far.sdp(), "RTP/AVP 8", "RTP/AVP 18"), "8 PCMA", "18 G729"))
		l := far.leg()
		if err := l.Answer(t.Context()); err == nil {
			t.Error("answered")
		}
		far.response(488, sip.INVITE)
		ended(t, l, telephony.ByUs)
	})
}

func TestWhatIsNotTakenIsRefusedByName(t *testing.T) {
	at := " sip:x@10.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK%s;rport\nMax-Forwards: %d\nFrom: <sip:f@10.0.0.2>;tag=a\nTo: <sip:x@10.0.0.1>%s\nCall-ID: %s\nCSeq: 7 %s\nContact: <sip:f@10.0.0.2>\n%s"
	for _, tt := range []struct {
		name, method, to, extra string
		hops, want              int
	}{
		{"OPTIONS", "OPTIONS", "", "", 70, 200},
		{"a dialog nobody knows", "BYE", ";tag=none", "", 70, 481},
		{"a re-INVITE into nothing", "INVITE", ";tag=none", "", 70, 481},
		{"a CANCEL of nothing", "CANCEL", "", "", 70, 481},
		{"INFO outside a dialog", "INFO", "", "", 70, 481},
		{"SUBSCRIBE of a carrier", "SUBSCRIBE", "", "Event: dialog\n", 70, 403},
		{"MESSAGE", "MESSAGE", "", "", 70, 405},
		{"an unheard of method", "JUMP", "", "", 70, 501},
		{"REFER outside a dialog", "REFER", "", "Refer-To: <sip:y@10.0.0.9>\n", 70, 403},
		{"REGISTER of a carrier", "REGISTER", "", "", 70, 403},
		{"reliable provisional responses required", "INVITE", "", "Require: 100rel\n", 70, 420},
		{"a session interval below the least", "INVITE", "", "Supported: timer\nSession-Expires: 30\n", 70, 422},
		{"a loop", "INVITE", "", "", 0, 483},
		{"a body that is no session description", "INVITE", "", "Content-Type: text/plain\n\nhello", 70, 415},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				far := w.carrier(0)
				far.send(tt.method + fmt.Sprintf(at, "odd", tt.hops, tt.to, "odd", tt.method, tt.extra))
				res := far.response(tt.want, sip.RequestMethod(tt.method))
				switch tt.want {
				case 405:
					if header(res, "Allow") == "" {
						t.Error("405 without Allow")
					}
				case 420:
					if header(res, "Unsupported") != "100rel" {
						t.Error("420 without what is not supported")
					}
				case 422:
					if header(res, "Min-SE") != "90" {
						t.Error("422 without Min-SE")
					}
				}
			})
		})
	}
}

func TestStopEndsLiveCallsAndRefusesNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		l := far.calls("")
		far.picked(l)
		dialling := w.dial(t.Context())
		req := far.request(sip.INVITE)
		far.reply(req, 180, "", "")
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- w.engine.Stop(t.Context()) }()
		failed(t, dialling, 487, telephony.PhaseRinging)
		ended(t, l, telephony.ByUs)
		for range 2 {
			switch m := far.next(time.Minute).(*sip.Request); m.Method {
			case sip.BYE, sip.CANCEL:
				far.reply(m, 200, "", "")
			default:
				t.Fatalf("got %s", m.StartLine())
			}
		}
		far.send(strings.ReplaceAll(far.invite(sdpHeader), "in", "out") + "\n" + far.sdp())
		far.response(503, sip.INVITE)
		far.reply(req, 487, "", "")
		if err := <-stopped; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}
