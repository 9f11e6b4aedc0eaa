package sipengine

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
)

func TestTheNumberThatATrunkVouchesFor(t *testing.T) {
	for header, want := range map[string]string{
		"P-Asserted-Identity: \"Client, Inc. <1>\" <sip:+74951112233;x=1@carrier.example;user=phone>\n": "+74951112233",
		"P-Asserted-Identity: tel:+74951112233\n":                                                       "+74951112233",
		"P-Asserted-Identity: <sip:carrier.example>, <tel:+74951112233>\n":                              "+74951112233",
		"P-Asserted-Identity: <sip:%0D%0A@x>\nP-Asserted-Identity: <tel:84951112233>\n":                 "84951112233",
		"P-Asserted-Identity: garbage\n":                                                                "",
		"P-Preferred-Identity: <sip:1@x>\n":                                                             "",
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newWorld(t).carrier(0).calls(header)
			if got := l.Info().ANI; got != want {
				t.Errorf("%s: ANI %q, want %q", header, got, want)
			}
		})
	}
}

func TestAPhonesOwnWordIsNotTakenForItsNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		phone := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0)
		phone.invites("101", "P-Asserted-Identity: <sip:112@x>\n")
		if l := phone.leg(); l.Info().ANI != "" {
			t.Errorf("%+v", l.Info())
		}
	})
}

func TestAnOperatorIsShownTheCallersNameAndBothNumbers(t *testing.T) {
	for name, shown := range map[string]string{
		"Anna":                    "Anna",
		`The "client" \ other`:    `The "client" \ other`,
		`\`:                       `\`,
		"Анна, отдел; <продаж>":   "Анна, отдел; <продаж>",
		"a\r\nVia: SIP/2.0/UDP x": "aVia: SIP/2.0/UDP x",
		"a\x00\x7f\u0085b":        "ab",
		"":                        "",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			phone := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0)
			phone.register("101", "secret")
			done := w.dial(t.Context(), func(d *telephony.Dial) {
				d.Trunk, d.Number, d.Operator = "", "", "101"
				d.CallerID, d.CallerName, d.ANI = "+74957654321", name, "+7495 111\r\nX: y"
			})
			req := phone.request(sip.INVITE)
			from := req.From()
			if from.Address.User != "+74957654321" {
				t.Errorf("From %s", from.Value())
			}
			// As a phone undoes the escapes (RFC 3261 §25.1).
			var b strings.Builder
			for i := 0; i < len(from.DisplayName); i++ {
				if from.DisplayName[i] == '\\' {
					i++
				}
				b.WriteByte(from.DisplayName[i])
			}
			if b.String() != shown {
				t.Errorf("%q is shown as %q, want %q", name, b.String(), shown)
			}
			if got := header(req, "P-Asserted-Identity"); got != "<sip:+7495%20111%0D%0AX:%20y@10.0.0.1>" && got != "<sip:+7495%20111%0D%0AX%3A%20y@10.0.0.1>" {
				t.Errorf("P-Asserted-Identity %q", got)
			}
			if req.GetHeader("X") != nil || len(req.GetHeaders("Via")) != 1 {
				t.Error("a name or a number has become a header")
			}
			phone.reply(req, 486, "", "")
			phone.request(sip.ACK)
			if got := (<-done).err; got == nil {
				t.Error("answered")
			}
		})
	}
}

func TestAPhoneIsToldThatSomebodyElseAnswered(t *testing.T) {
	for name, told := range map[string]struct {
		cause  error
		reason string
	}{
		"elsewhere": {telephony.ErrElsewhere, `SIP;cause=200;text="Call completed elsewhere"`},
		"given up":  {context.Canceled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				desk, soft := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0), w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
				desk.register("101", "secret")
				soft.register("101", "secret")
				ctx, cancel := context.WithCancelCause(t.Context())
				done := w.dial(ctx, func(d *telephony.Dial) { d.Trunk, d.Number, d.Operator = "", "", "101" })
				phones := map[*peer]*sip.Request{desk: nil, soft: nil}
				for p := range phones {
					phones[p] = p.request(sip.INVITE)
					p.reply(phones[p], 180, "", "")
				}
				synctest.Wait()
				cancel(told.cause)
				err, at := failed(t, done, 487, telephony.PhaseRinging)
				if err.Unwrap() != told.cause || at > time.Second { //nolint:errorlint // the very cause
					t.Errorf("%v after %v", err.Unwrap(), at)
				}
				for p, invite := range phones {
					req := p.request(sip.CANCEL)
					if got := header(req, "Reason"); got != told.reason {
						t.Errorf("Reason %q, want %q", got, told.reason)
					}
					p.reply(req, 200, "", "")
					p.reply(invite, 487, "", "")
					p.request(sip.ACK)
				}
			})
		})
	}
}
