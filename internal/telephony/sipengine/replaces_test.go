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
)

// invites sends an INVITE as an operator, proven.
func (p *peer) invites(user, extra string) {
	p.w.Helper()
	first := p.invite(extra + sdpHeader)
	p.send(first + "\n" + p.sdp())
	challenge := p.response(401, sip.INVITE)
	s := &session{peer: p, callID: "in-1", local: challenge.From().Value(), remote: challenge.To().Value(), target: "sip:x@10.0.0.1"}
	s.ack(1, "")
	second := strings.ReplaceAll(strings.ReplaceAll(first, "in1", "in2"), "CSeq: 1", "CSeq: 2")
	p.send(second + p.authorization(second, challenge, user, "secret") + "\n" + p.sdp())
}

func TestAColleaguePicksUpWhatRings(t *testing.T) {
	for name, told := range map[string]bool{"once it rings": true, "before the phone has said a word": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := office(t)
				phone := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0)
				phone.register("101", "secret")
				colleague := w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
				key := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0).watches("key", "")
				key.shows("active", "terminated")
				ctx, cancel := context.WithCancelCause(t.Context())
				done := w.dial(ctx, func(d *telephony.Dial) { d.Leg, d.Trunk, d.Number, d.Operator = "m1", "", "", "101" })
				req := phone.request(sip.INVITE)
				shown := key.shows("active", "early recipient")
				if told {
					phone.reply(req, 180, "", "")
					shown = key.shows("active", "early recipient")
				} else {
					phone.reply(req, 100, "", "")
				}
				d := shown.Dialogs[0]
				if d.Local == "" {
					d.Local = "0"
				}
				colleague.invites("102", fmt.Sprintf("Require: replaces\nReplaces: %s;to-tag=%s;from-tag=%s;early-only\n", d.CallID, d.Local, d.Remote))
				picking := colleague.leg()
				info := picking.Info()
				if info.Operator != "102" || info.Replaces == nil || info.Replaces.ID() != "m1" || info.Replaces.Info().Operator != "101" {
					t.Fatalf("%+v", info)
				}
				// As a scenario does.
				cancel(telephony.ErrElsewhere)
				failed(t, done, 487, map[bool]telephony.Phase{true: telephony.PhaseRinging, false: telephony.PhaseTrying}[told])
				phone.reply(phone.request(sip.CANCEL), 200, "", "")
				phone.reply(req, 487, "", "")
				phone.request(sip.ACK)
				colleague.picked(picking).bye("")
				for m := key.next(time.Second); m != nil; m = key.next(time.Second) {
					key.reply(m.(*sip.Request), 200, "", "")
				}
			})
		})
	}
}

func TestACallThatStandsIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		s, l := operatorCall(w, false)
		_, ours, _ := strings.Cut(s.remote, "tag=")
		colleague := w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
		colleague.invites("102", "Replaces: in-1;from-tag=far;to-tag="+ours+"\n")
		other := colleague.leg()
		if other.Info().Replaces != l {
			t.Errorf("%+v", other.Info())
		}
		other.Hangup(486)
		colleague.response(486, sip.INVITE)
		s.bye("")
	})
}

func TestWhatCannotBeTakenOver(t *testing.T) {
	for _, tt := range []struct {
		name, replaces string
		code           int
	}{
		{"nothing of ours", "Replaces: in-1;to-tag=x;from-tag=far\n", 481},
		{"without tags", "Replaces: in-1\n", 400},
		{"two calls", "Replaces: in-1;to-tag=%[1]s;from-tag=far\nReplaces: in-1;to-tag=%[1]s;from-tag=far\n", 400},
		{"a standing call, if it is to ring only", "Replaces: in-1;to-tag=%[1]s;from-tag=far;early-only\n", 486},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := office(t)
				s, _ := operatorCall(w, false)
				_, ours, _ := strings.Cut(s.remote, "tag=")
				extra := tt.replaces
				if strings.Contains(extra, "%") {
					extra = fmt.Sprintf(extra, ours)
				}
				colleague := w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
				colleague.invites("102", extra)
				colleague.response(tt.code, sip.INVITE)
				s.bye("")
			})
		})
	}
	t.Run("by a carrier", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := office(t)
			s, _ := operatorCall(w, false)
			_, ours, _ := strings.Cut(s.remote, "tag=")
			far := w.carrier(0)
			far.send(far.invite("Replaces: in-1;to-tag="+ours+";from-tag=far\n"+sdpHeader) + "\n" + far.sdp())
			far.response(403, sip.INVITE)
			s.bye("")
		})
	})
	t.Run("a call that its caller has not been answered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := office(t)
			phone := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0)
			l := phone.callsAs("101", "secret")
			if err := l.Ringing(t.Context()); err != nil {
				t.Fatal(err)
			}
			ours := tag(phone.response(180, sip.INVITE).To().Params)
			colleague := w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
			colleague.invites("102", "Replaces: in-1;to-tag="+ours+";from-tag=far\n")
			colleague.response(481, sip.INVITE)
			l.Hangup(0)
			phone.response(603, sip.INVITE)
		})
	})
}

func FuzzReplaces(f *testing.F) {
	f.Add("a@b;to-tag=1;from-tag=2;early-only")
	f.Add(";to-tag=;from-tag")
	f.Fuzz(func(t *testing.T, value string) {
		if r, err := parseReplaces(value); err == nil && (r.callID == "" || r.toTag == "" || r.fromTag == "") {
			t.Errorf("%q: %+v", value, r)
		}
	})
}
