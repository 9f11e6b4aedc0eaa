package telephonytest

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
)

// Refer asks for a blind transfer of the call to a number (RFC 3515) and waits
// for the final status, which it returns; 0: none came.
func (p *SIPPhone) Refer(number string) int { return p.refer(number, nil) }

// ReferReplaces asks for an attended transfer (RFC 5589 §7): to whom the other
// line of the operator talks.
func (p *SIPPhone) ReferReplaces(number string, line *SIPPhone) int { return p.refer(number, line) }

func (p *SIPPhone) refer(number string, line *SIPPhone) int {
	replaces := ""
	if line != nil {
		line.look(func(c *farCall) bool {
			// The = must be escaped too (RFC 3261 §25.1, hvalue).
			replaces = "?Replaces=" + url.QueryEscape(fmt.Sprintf("%s;to-tag=%s;from-tag=%s", c.invite.CallID().Value(), c.remote, c.local))
			return true
		})
	}
	p.mu.Lock()
	if p.state != PhoneTalking {
		p.mu.Unlock()
		return 0
	}
	c := p.call
	req := p.inDialog(c, sip.REFER)
	req.AppendHeader(&sip.ContactHeader{Address: p.contact()})
	req.AppendHeader(sip.NewHeader("Refer-To", "<sip:"+number+"@"+c.peer.String()+replaces+">"))
	p.mu.Unlock()
	res := p.exchange(req, c.peer, nil)
	if res == nil {
		return 0
	}
	return res.StatusCode
}

// Transfer is what the phone was told of the transfers of its last call, in
// order, without repeats: "100", "180", and "200 over" at the end.
func (p *SIPPhone) Transfer() (told []string) {
	p.look(func(c *farCall) bool {
		told = slices.Compact(slices.Clone(c.transfer))
		return true
	})
	return told
}

// notified takes a NOTIFY of a transfer; the lock is held.
func (p *SIPPhone) notified(c *farCall, req *sip.Request) {
	fields := strings.Fields(string(req.Body()))
	if len(fields) < 2 || fields[0] != "SIP/2.0" {
		p.t.Errorf("told %q of a transfer", req.Body())
		return
	}
	told := fields[1]
	if h := req.GetHeader("Subscription-State"); h != nil && strings.HasPrefix(h.Value(), "terminated") {
		told += " over"
	}
	c.transfer = append(c.transfer, told)
}

// told waits until a phone was told that its transfer is over, with a status,
// having been told of the others before.
func told(t *testing.T, p *SIPPhone, want ...string) {
	t.Helper()
	if !within(patience, func() bool { return slices.Equal(p.Transfer(), want) }) {
		t.Errorf("the phone was told %q, want %q", p.Transfer(), want)
	}
}

// asked is the transfer that a leg's phone has asked for.
func asked(t *testing.T, l telephony.Leg) telephony.Refer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := l.Refers().Next(ctx)
	if err != nil {
		t.Fatalf("no transfer was asked for: %v", err)
	}
	return r
}

// operatorTalks is a call to the operator's phone that stands.
func operatorTalks(t *testing.T, r *Rig) telephony.Leg {
	t.Helper()
	register(t, r)
	r.Operator.Behave(Manner{Answers: true})
	return dial(t, r, telephony.Dial{Leg: "m1", Operator: r.Extension, Timeout: patience})
}

// colleague is whom the suite's operator transfers to.
const colleague = "103"

func transferCases() []exercise {
	return []exercise{
		{"blind, and the phone hears how it goes", func(t *testing.T, r *Rig) {
			l := operatorTalks(t, r)
			if code := r.Operator.Refer(colleague); code != 202 {
				t.Fatalf("REFER: %d", code)
			}
			refer := asked(t, l)
			if refer.To != colleague || refer.Replaces != nil {
				t.Errorf("%+v", refer)
			}
			told(t, r.Operator, "100")
			refer.Progress(180)
			if r.CoarseTransfer {
				refer.Progress(200)
				told(t, r.Operator, "100", "200 over")
				return
			}
			told(t, r.Operator, "100", "180")
			refer.Progress(200)
			told(t, r.Operator, "100", "180", "200 over")
		}},
		{"blind, in a call that the phone made", func(t *testing.T, r *Rig) {
			r.Operator.Call(r.Server, r.Extension, r.Password, "100")
			l := incoming(t, r)
			if err := l.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			is(t, r.Operator, PhoneTalking)
			if code := r.Operator.Refer(colleague); code != 202 {
				t.Fatalf("REFER: %d", code)
			}
			if refer := asked(t, l); refer.To != colleague {
				t.Errorf("%+v", refer)
			}
			l.Hangup(0)
		}},
		{"that fails, and the phone has its call back", func(t *testing.T, r *Rig) {
			l := operatorTalks(t, r)
			if code := r.Operator.Refer(colleague); code != 202 {
				t.Fatalf("REFER: %d", code)
			}
			asked(t, l).Progress(486)
			failed := "486 over"
			if r.CoarseTransfer {
				failed = "503 over"
			}
			told(t, r.Operator, "100", failed)
			begun(func() error { return l.Play(t.Context(), prompt(promptTone, patience)) })
			hears(t, r.Operator, promptTone)
			// And it may try again.
			if code := r.Operator.Refer(colleague); code != 202 {
				t.Errorf("REFER: %d", code)
			}
			asked(t, l).Progress(200)
		}},
		{"of a phone that hangs up as soon as it is accepted", func(t *testing.T, r *Rig) {
			l := operatorTalks(t, r)
			if code := r.Operator.Refer(colleague); code != 202 {
				t.Fatalf("REFER: %d", code)
			}
			r.Operator.Hangup("")
			if h := ends(t, l); h.By != telephony.ByFar {
				t.Errorf("%+v", h)
			}
			refer := asked(t, l)
			if refer.To != colleague {
				t.Errorf("%+v", refer)
			}
			refer.Progress(200)
		}},
		{"attended names the phone's other call", func(t *testing.T, r *Rig) {
			l := operatorTalks(t, r)
			if code := r.Operator.Hold(true); code != 200 {
				t.Fatalf("hold: %d", code)
			}
			if err := l.Held().Wait(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			line := NewSIPPhone(t, 1500)
			line.Call(r.Server, r.Extension, r.Password, colleague)
			consultation := incoming(t, r)
			if err := consultation.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			is(t, line, PhoneTalking)
			if code := r.Operator.ReferReplaces(colleague, line); code != 202 {
				t.Fatalf("REFER: %d", code)
			}
			refer := asked(t, l)
			if refer.Replaces != consultation {
				t.Errorf("%+v, want to replace %v", refer, consultation)
			}
			refer.Progress(200)
			told(t, r.Operator, "100", "200 over")
			consultation.Hangup(0)
			eventually(t, "the consultation is over", line.HungUp)
		}},
		{"of a carrier is declined", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "c1")
			if code := r.Outside[0].Refer(colleague); code < 400 {
				t.Errorf("REFER: %d", code)
			}
			if left := l.Refers().Drain(); left != nil {
				t.Errorf("transfers %+v", left)
			}
		}},
		{"to nobody is refused", func(t *testing.T, r *Rig) {
			l := operatorTalks(t, r)
			if code := r.Operator.Refer(""); code < 400 {
				t.Errorf("REFER: %d", code)
			}
			if left := l.Refers().Drain(); left != nil || l.Context().Err() != nil {
				t.Errorf("transfers %+v, the call %v", left, l.Context().Err())
			}
		}},
	}
}
