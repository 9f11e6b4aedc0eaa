package sipengine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
)

func TestACallThatTheFarEndDoesNotRefreshIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		l := far.calls("Supported: timer\nSession-Expires: 120;refresher=uac\n")
		if err := l.Answer(t.Context()); err != nil {
			t.Fatal(err)
		}
		res := far.response(200, sip.INVITE)
		if header(res, "Session-Expires") != "120;refresher=uac" || !lists(res, "timer", "Require") {
			t.Errorf("agreed to %q", header(res, "Session-Expires"))
		}
		s := far.acked(res, "")
		time.Sleep(80 * time.Second)
		s.inDialog("UPDATE", 2, "Supported: timer\nSession-Expires: 120;refresher=uac\n", "")
		s.response(200, sip.UPDATE)
		refreshed := time.Now()
		ended(t, l, telephony.ByNetwork)
		if after := time.Since(refreshed); after != 88*time.Second {
			t.Errorf("ended after %v, want 120 s less 32 s", after)
		}
		far.reply(far.request(sip.BYE), 200, "", "")
	})
}

func TestWeRefreshACallInTheMiddleOfItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		req := far.request(sip.INVITE)
		if header(req, "Session-Expires") != "1800" || header(req, "Min-SE") != "90" || !lists(req, "timer", "Supported") {
			t.Errorf("offered %q", header(req, "Session-Expires"))
		}
		far.reply(req, 200, "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\nSession-Expires: 600;refresher=uac", far.sdp())
		far.request(sip.ACK)
		l := succeeded(t, done)
		for range 12 {
			began := time.Now()
			update := far.requestWithin(sip.UPDATE, 10*time.Minute)
			if after := time.Since(began); after != 5*time.Minute {
				t.Errorf("refreshed after %v, want 5 min", after)
			}
			far.reply(update, 200, "Session-Expires: 600;refresher=uac", "")
			synctest.Wait()
		}
		update := far.requestWithin(sip.UPDATE, 10*time.Minute)
		far.reply(update, 481, "", "")
		if why := ended(t, l, telephony.ByNetwork); !strings.Contains(why.Reason, "481") {
			t.Errorf("ended %v", why)
		}
		far.reply(far.request(sip.BYE), 200, "", "")
	})
}

func TestAFarEndWithoutSessionTimersIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		s := far.answers()
		l := succeeded(t, done)
		far.silence(3 * time.Hour)
		s.bye("")
		ended(t, l, telephony.ByFar)
	})
}

func TestAFarEndThatDoesNotAnswerARefreshIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		req := far.request(sip.INVITE)
		far.reply(req, 200, "Session-Expires: 600;refresher=uac", far.sdp())
		far.request(sip.ACK)
		l := succeeded(t, done)
		began := time.Now()
		ended(t, l, telephony.ByNetwork)
		if after := time.Since(began); after != 5*time.Minute+32*time.Second {
			t.Errorf("ended after %v", after)
		}
	})
}
