package sipengine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
)

// office is a world with three operators.
func office(t *testing.T) *world {
	return newWorld(t, func(_ *Config, p *people) {
		for _, extension := range []string{"102", "103"} {
			p.operators[extension] = directory.Operator{Extension: extension, Password: "secret"}
		}
	})
}

// operatorCall is a call of 101's that stands, from a phone at 10.0.1.1: the
// phone called, or we did.
func operatorCall(w *world, dialled bool) (*session, telephony.Leg) {
	phone := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0)
	if !dialled {
		l := phone.callsAs("101", "secret")
		return phone.picked(l), l
	}
	phone.register("101", "secret")
	done := w.dialOperator("101")
	s := phone.answers()
	return s, succeeded(w.T, done)
}

// refers sends a REFER.
func (s *session) refers(to, extra string) { s.inDialog("REFER", 0, "Refer-To: "+to+"\n"+extra, "") }

// told takes a NOTIFY about a transfer and answers it.
func (s *session) told(code int, state string, answer int) *sip.Request {
	s.w.Helper()
	req := s.requestWithin(sip.NOTIFY, 4*time.Minute)
	if name, _ := eventOf(req); name != "refer" {
		s.w.Errorf("NOTIFY of %q", header(req, "Event"))
	}
	if want := fmt.Sprintf("SIP/2.0 %d ", code); !strings.HasPrefix(string(req.Body()), want) || req.ContentType().Value() != "message/sipfrag;version=2.0" {
		s.w.Errorf("told %q as %s, want %q", req.Body(), req.ContentType().Value(), want)
	}
	if got := header(req, "Subscription-State"); !strings.HasPrefix(got, state) {
		s.w.Errorf("the subscription is %q, want %q", got, state)
	}
	s.reply(req, answer, "", "")
	return req
}

// refer reads the transfer that the phone asked for.
func refer(t *testing.T, l telephony.Leg) telephony.Refer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := l.Refers().Next(ctx)
	if err != nil {
		t.Fatalf("no transfer was asked for: %v", err)
	}
	return r
}

func TestAnOperatorsPhoneTransfersBlindAndHearsHowItGoes(t *testing.T) {
	for name, dialled := range map[string]bool{"it called": false, "we called": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, l := operatorCall(newWorld(t), dialled)
				s.refers("<sip:103@10.0.0.1>", "")
				if res := s.response(202, sip.REFER); res.Contact() == nil {
					t.Error("202 without a Contact")
				}
				s.told(100, "active;expires=1", 200)
				r := refer(t, l)
				if r.To != "103" || r.Replaces != nil {
					t.Errorf("%+v", r)
				}
				r.Progress(180)
				s.told(180, "active", 200)
				r.Progress(200)
				s.told(200, "terminated;reason=noresource", 200)
				r.Progress(486)
				s.silence(5 * time.Minute)
				s.bye("")
			})
		})
	}
}

func TestAPhoneHearsOfItsTransferBeforeWeHangUp(t *testing.T) {
	for name, answers := range map[string]bool{"which it takes": true, "which it does not take": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, l := operatorCall(newWorld(t), false)
				s.refers("<sip:103@10.0.0.1>", "")
				s.response(202, sip.REFER)
				s.told(100, "active", 200)
				refer(t, l).Progress(200)
				l.Hangup(0)
				began := time.Now()
				if answers {
					s.told(200, "terminated", 200)
				} else {
					s.request(sip.NOTIFY)
				}
				s.reply(s.request(sip.BYE), 200, "", "")
				if waited := time.Since(began); waited > sipT1 || (waited == 0) != answers {
					t.Errorf("hung up after %v", waited)
				}
			})
		})
	}
}

func TestReferToIsReadHoweverPhonesWriteIt(t *testing.T) {
	dialog := &replaces{callID: "a b@c", toTag: "1", fromTag: "2"}
	early := &replaces{callID: "x", toTag: "1", fromTag: "2", earlyOnly: true}
	for value, want := range map[string]referTarget{
		"<sip:103@10.0.0.1>":                {number: "103"},
		"sip:103@10.0.0.1":                  {number: "103"},
		"sip:103@10.0.0.1:5060;user=phone":  {number: "103"},
		"SIPS:103@[::1]:5061;transport=tls": {number: "103"},
		`"Anna, \"sales\" <103>" <sip:103;phone-context=x:pw@host;method=invite>;p=1`:          {number: "103"},
		"Anna <tel:+7-495-123-45-67;ext=1>":                                                    {number: "+7-495-123-45-67"},
		"<sip:%2B74951234567@host>":                                                            {number: "+74951234567"},
		"<sip:%D0%90%D0%BD%D0%BD%D0%B0@host>":                                                  {number: "Анна"},
		"<sip:103@host?Replaces=a%20b%40c%3Bto-tag%3D1%3Bfrom-tag%3D2>":                        {number: "103", replaces: dialog},
		"<sip:103@host?replaces=a%20b%40c%3Bfrom-tag%3D2%3Bto-tag%3D1>":                        {number: "103", replaces: dialog},
		"<sip:host:5060?Replaces=a%20b@c;to-tag=1;from-tag=2>":                                 {replaces: dialog},
		"<sip:103@h;x=y?Require=replaces&Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2%3Bearly-only>": {number: "103", replaces: early},
		"sip:103@host?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2%3Bearly-only":                     {number: "103", replaces: early},
	} {
		got, err := parseReferTo(value)
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if got.number != want.number || (got.replaces == nil) != (want.replaces == nil) || got.replaces != nil && *got.replaces != *want.replaces {
			t.Errorf("%s: %+v %+v, want %+v", value, got, got.replaces, want)
		}
	}
}

func TestABadReferToIsRefusedWithAReason(t *testing.T) {
	bad := []string{
		"", "103", "<103>", "http://host/", "<mailto:a@b>", "<sip:>", "<sip:host>", "<sip:@host>", "<sip:1@host", `"a <sip:1@host>`,
		"<sip:1%0D%0AVia:x@host>", "<sip:1%zz@host>", "<sip:%ff@host>", "<sip:" + strings.Repeat("1", 200) + "@host>",
		"<sip:1@host;method=BYE>", "<sip:1@host?Replaces=x>", "<sip:1@host?Replaces=x%3Bto-tag%3D1>",
		"<sip:1@host?Replaces=%3Bto-tag%3D1%3Bfrom-tag%3D2>", "<sip:1@host?Replaces=x%3Bto-tag%3D1%3Bto-tag%3D3%3Bfrom-tag%3D2>",
		"<sip:1@host?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=y%3Bto-tag%3D1%3Bfrom-tag%3D2>",
	}
	synctest.Test(t, func(t *testing.T) {
		s, l := operatorCall(newWorld(t), false)
		for _, to := range bad {
			s.refers(to, "")
			if res := s.response(400, sip.REFER); !strings.Contains(res.Reason, "Refer-To") {
				t.Errorf("%q: %s", to, res.Reason)
			}
		}
		s.inDialog("REFER", 0, "", "")
		s.response(400, sip.REFER)
		s.inDialog("REFER", 0, "Refer-To: <sip:1@h>\nr: <sip:2@h>\n", "")
		s.response(400, sip.REFER)
		s.refers("<sip:103@h>", "Require: tdialog\n")
		if res := s.response(420, sip.REFER); header(res, "Unsupported") != "tdialog" {
			t.Errorf("unsupported: %q", header(res, "Unsupported"))
		}
		if left := l.Refers().Drain(); left != nil {
			t.Errorf("transfers %+v", left)
		}
		s.bye("")
	})
}

func TestOnlyAnOperatorsAnsweredCallIsTransferred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		phone := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0)
		l := phone.callsAs("101", "secret")
		if err := l.Ringing(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := phone.acked(phone.response(180, sip.INVITE), "") // a session of the early dialog
		s.refers("<sip:103@10.0.0.1>", "")
		s.response(603, sip.REFER)
		l.Hangup(0)
		phone.response(603, sip.INVITE)
		if left := l.Refers().Drain(); left != nil {
			t.Errorf("transfers %+v", left)
		}
	})
}

func TestAnAttendedTransferNamesThePhonesOtherCall(t *testing.T) {
	for name, replaces := range map[string]string{
		"as the standard has it": "in-1%%3Bto-tag%%3D%s%%3Bfrom-tag%%3Dfar",
		"the other way round":    "in-1%%3Bfrom-tag%%3D%s%%3Bto-tag%%3Dfar",
		"the tags turned round":  "in-1%%3Bto-tag%%3Dfar%%3Bfrom-tag%%3D%s",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s, l := operatorCall(w, true)
				line := w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
				consultation := line.callsAs("101", "secret")
				second := line.picked(consultation)
				_, ours, _ := strings.Cut(second.remote, "tag=")
				s.refers("<sip:103@10.0.0.1?Replaces="+fmt.Sprintf(replaces, ours)+">", "")
				s.response(202, sip.REFER)
				s.told(100, "active", 200)
				r := refer(t, l)
				if r.To != "103" || r.Replaces != consultation {
					t.Errorf("%+v, want to replace %v", r, consultation)
				}
				r.Progress(200)
				s.told(200, "terminated", 200)
				s.bye("")
				second.bye("")
			})
		})
	}
}

func TestAReplacesThatNamesNoCallOfThePhonesIsToldAsTheInviteWouldBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		s, l := operatorCall(w, false)
		colleague := w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
		hers := colleague.callsAs("102", "secret")
		second := colleague.picked(hers)
		_, foreign, _ := strings.Cut(second.remote, "tag=")
		_, own, _ := strings.Cut(s.remote, "tag=")
		for _, tag := range []string{"nothing", foreign, own} {
			// Also where the phone does not want to be told.
			s.refers("<sip:103@10.0.0.1?Replaces=in-1%3Bto-tag%3D"+tag+"%3Bfrom-tag%3Dfar>", "Refer-Sub: false\n")
			if res := s.response(202, sip.REFER); header(res, "Refer-Sub") != "" {
				t.Error("it will not be told")
			}
			s.told(100, "active", 200)
			s.told(481, "terminated;reason=noresource", 200)
		}
		if left := l.Refers().Drain(); left != nil || l.Context().Err() != nil {
			t.Errorf("transfers %+v, the call %v", left, l.Context().Err())
		}
		s.bye("")
		second.bye("")
	})
}

func TestAPhoneThatDoesNotWantToKnowIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := operatorCall(newWorld(t), false)
		s.refers("<sip:103@10.0.0.1>", "Refer-Sub: false\nRequire: norefersub\n")
		if res := s.response(202, sip.REFER); header(res, "Refer-Sub") != "false" {
			t.Errorf("Refer-Sub %q", header(res, "Refer-Sub"))
		}
		r := refer(t, l)
		r.Progress(180)
		r.Progress(200)
		s.silence(5 * time.Minute)
		s.bye("")
	})
}

func TestASecondTransferWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := operatorCall(newWorld(t), false)
		s.refers("<sip:103@10.0.0.1>", "")
		s.response(202, sip.REFER)
		s.told(100, "active", 200)
		s.refers("<sip:104@10.0.0.1>", "")
		s.response(491, sip.REFER)
		r := refer(t, l)
		r.Progress(486)
		s.told(486, "terminated", 200)
		synctest.Wait()
		s.refers("<sip:104@10.0.0.1>", "")
		seq := s.seq
		s.response(202, sip.REFER)
		req := s.told(100, "active", 200)
		if _, id := eventOf(req); id != fmt.Sprint(seq) {
			t.Errorf("Event %q, want the id %d", header(req, "Event"), seq)
		}
		if r := refer(t, l); r.To != "104" {
			t.Errorf("%+v", r)
		}
		s.bye("")
		s.told(408, "terminated", 200) // nobody saw to it
	})
}

func TestAPhoneThatHangsUpAtOnceLeavesItsTransfer(t *testing.T) {
	for name, answer := range map[string]int{"and listens on": 200, "and knows nothing any more": 481} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, l := operatorCall(newWorld(t), false)
				s.refers("<sip:103@10.0.0.1>", "")
				s.response(202, sip.REFER)
				notify := s.request(sip.NOTIFY)
				s.bye("")
				ended(t, l, telephony.ByFar)
				r := refer(t, l)
				if r.To != "103" {
					t.Errorf("%+v", r)
				}
				s.reply(notify, answer, "", "")
				synctest.Wait()
				r.Progress(200)
				if answer == 200 {
					s.told(200, "terminated", 200)
				}
				s.silence(time.Minute)
			})
		})
	}
}

func TestAReferAfterTheHangUpIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := operatorCall(newWorld(t), false)
		s.bye("")
		s.refers("<sip:103@10.0.0.1>", "")
		s.response(481, sip.REFER)
		if left := l.Refers().Drain(); left != nil {
			t.Errorf("transfers %+v", left)
		}
	})
}

func TestATransferThatNobodySeesToIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := operatorCall(newWorld(t), false)
		s.refers("<sip:103@10.0.0.1>", "")
		s.response(202, sip.REFER)
		s.told(100, "active;expires=180", 200)
		began := time.Now()
		s.told(408, "terminated;reason=noresource", 200)
		if after := time.Since(began); after != referWait {
			t.Errorf("after %v", after)
		}
		s.bye("")
	})
}

func TestAPhoneThatDoesNotTakeItsNotifyIsToldNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := operatorCall(newWorld(t), false)
		s.refers("<sip:103@10.0.0.1>", "")
		s.response(202, sip.REFER)
		s.request(sip.NOTIFY) // and not a word
		r := refer(t, l)
		r.Progress(180)
		s.silence(2 * time.Minute)
		r.Progress(200)
		s.silence(2 * time.Minute)
		if l.Context().Err() != nil {
			t.Error("the call is over")
		}
		s.bye("")
	})
}

func TestAPhoneMayListenLongerToItsTransferOrNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := operatorCall(newWorld(t), false)
		s.inDialog("SUBSCRIBE", 0, "Event: refer\nExpires: 60\n", "")
		s.response(403, sip.SUBSCRIBE)
		s.inDialog("SUBSCRIBE", 0, "Event: dialog\n", "")
		s.response(489, sip.SUBSCRIBE)
		s.refers("<sip:103@10.0.0.1>", "")
		s.response(202, sip.REFER)
		s.told(100, "active", 200)
		time.Sleep(time.Minute)
		s.inDialog("SUBSCRIBE", 0, "Event: refer\nExpires: 170\n", "")
		if res := s.response(200, sip.SUBSCRIBE); header(res, "Expires") != "170" {
			t.Errorf("Expires %q", header(res, "Expires"))
		}
		s.silence(169 * time.Second)
		s.inDialog("SUBSCRIBE", 0, "Event: refer\nExpires: 0\n", "")
		s.response(200, sip.SUBSCRIBE)
		s.told(100, "terminated;reason=timeout", 200)
		refer(t, l).Progress(200)
		s.silence(time.Minute)
		s.bye("")
	})
}

func TestAPhoneIsToldThatItsTransferFailsWhenWeStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, l := operatorCall(w, false)
		s.refers("<sip:103@10.0.0.1>", "")
		s.response(202, sip.REFER)
		s.told(100, "active", 200)
		done := make(chan error, 1)
		go func() { done <- w.engine.Stop(t.Context()) }()
		for range 2 {
			switch m := s.next(time.Second).(type) {
			case *sip.Request:
				s.reply(m, 200, "", "")
				if m.Method == sip.NOTIFY && !strings.HasPrefix(string(m.Body()), "SIP/2.0 503 ") {
					t.Errorf("told %q", m.Body())
				}
			default:
				t.Errorf("got %v, want a BYE and a NOTIFY", m)
			}
		}
		ended(t, l, telephony.ByUs)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func FuzzReferTo(f *testing.F) {
	f.Add(`"Anna" <sip:103@10.0.0.1?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>;x=y`)
	f.Add("tel:+7-495;ext=1")
	f.Add("<sip:%0d@h>")
	f.Add(`"\`)
	f.Fuzz(func(t *testing.T, value string) {
		target, err := parseReferTo(value)
		if err != nil {
			return
		}
		if target.number == "" && target.replaces == nil || len(target.number) > numberMax || strings.ContainsAny(target.number, "\r\n\x00") {
			t.Errorf("%q is taken for %+v", value, target)
		}
		if r := target.replaces; r != nil && (r.callID == "" || r.toTag == "" || r.fromTag == "") {
			t.Errorf("%q replaces %+v", value, *r)
		}
	})
}
