package sipengine

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
)

// withLedger gives the engine a ledger.
func withLedger(t *testing.T) func(*Config, *people) {
	path := filepath.Join(t.TempDir(), "calls.jsonl")
	return func(c *Config, _ *people) { c.Ledger = path }
}

// ledger is what a process that was killed now would leave.
func (w *world) ledger() string {
	w.Helper()
	synctest.Wait()
	b, err := os.ReadFile(w.config.Ledger)
	if err != nil {
		w.Fatal(err)
	}
	return string(b)
}

// kill ends the engine as kill -9 does: it says nothing any more, and its
// ledger stays as it is.
func (w *world) kill() {
	w.Helper()
	left := w.ledger()
	w.engine.close()
	if err := w.engine.Stop(context.WithoutCancel(w.Context())); err != nil {
		w.Error(err)
	}
	if err := os.WriteFile(w.config.Ledger, []byte(left), 0o600); err != nil {
		w.Fatal(err)
	}
}

// stop ends the engine as SIGTERM does and checks that nothing is left to end.
func (w *world) stop() {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Minute)
	defer cancel()
	if err := w.engine.Stop(ctx); err != nil {
		w.Error(err)
	}
	if left := w.ledger(); left != "" {
		w.Errorf("the ledger of a clean stop holds\n%s", left)
	}
}

// sameCall checks that a request of the new engine belongs to an INVITE of the old.
func sameCall(t *testing.T, req, invite *sip.Request) {
	t.Helper()
	if req.CallID().Value() != invite.CallID().Value() || tag(req.From().Params) != tag(invite.From().Params) {
		t.Errorf("another call:\n%s\n%s", req, invite)
	}
}

// matches checks that a request is matched to an INVITE by its transaction
// (RFC 3261 §9.1, §17.1.1.3).
func matches(t *testing.T, req, invite *sip.Request) {
	t.Helper()
	sameCall(t, req, invite)
	if req.Via().Value() != invite.Via().Value() || req.CSeq().SeqNo != invite.CSeq().SeqNo || req.Recipient.String() != invite.Recipient.String() {
		t.Errorf("not of the INVITE's transaction:\n%s\n%s", req, invite)
	}
}

func TestKilledWhileItRingsTheNewEngineCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t))
		far := w.carrier(0)
		w.dial(t.Context())
		invite := far.request(sip.INVITE)
		far.reply(invite, 180, "", "")
		w.kill()
		far.silence(3 * time.Second)

		w.start()
		cancel := far.request(sip.CANCEL)
		matches(t, cancel, invite)
		if why := reasonOf(cancel); why.sip != 503 || why.text != "Server restarted" {
			t.Errorf("reason %+v", why)
		}
		far.reply(cancel, 200, "", "")
		far.reply(invite, 487, "", "")
		ack := far.request(sip.ACK)
		matches(t, ack, invite)
		if tag(ack.To().Params) != far.tag {
			t.Errorf("the ACK is not of the 487: %s", ack)
		}
		// The ACK was lost: the 487 comes again.
		far.seen = map[string]bool{}
		far.reply(invite, 487, "", "")
		far.request(sip.ACK)
		far.silence(time.Minute)
		w.stop()
	})
}

func TestKilledBeforeTheFarEndSaidAnythingTheNewEngineCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t))
		far := w.carrier(0)
		w.dial(t.Context())
		invite := far.request(sip.INVITE)
		w.kill()
		w.start()
		cancel := far.request(sip.CANCEL)
		matches(t, cancel, invite)
		far.reply(cancel, 481, "", "")
		far.silence(time.Minute)
		w.stop()
	})
}

func TestAnAnswerWhileTheServerWasDeadIsHungUp(t *testing.T) {
	for _, tt := range []struct {
		name      string
		cancelled int // the answer to the CANCEL; 0: it comes after the 200
	}{{"crossing the CANCEL", 0}, {"long before the CANCEL", 481}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, withLedger(t))
				far := w.carrier(0)
				w.dial(t.Context())
				invite := far.request(sip.INVITE)
				far.reply(invite, 180, "", "")
				w.kill()
				w.start()
				cancel := far.request(sip.CANCEL)
				if tt.cancelled > 0 {
					far.reply(cancel, tt.cancelled, "", "")
					far.silence(4 * time.Second)
				}
				route := "Record-Route: <sip:10.0.0.2:5060;lr;edge=1>"
				far.reply(invite, 200, route, far.sdp())
				far.reply(invite, 200, route, far.sdp()) // again: the same ACK
				ack := far.request(sip.ACK)
				sameCall(t, ack, invite)
				bye := far.request(sip.BYE)
				sameCall(t, bye, invite)
				if ack.CSeq().SeqNo != invite.CSeq().SeqNo || bye.CSeq().SeqNo <= invite.CSeq().SeqNo ||
					tag(bye.To().Params) != far.tag || header(bye, "Route") != "<sip:10.0.0.2:5060;lr;edge=1>" {
					t.Errorf("wrong numbers, tags or route:\n%s\n%s", ack, bye)
				}
				if tt.cancelled == 0 {
					far.reply(cancel, 200, "", "")
				}
				far.reply(bye, 200, "", "")
				far.silence(time.Minute)
				w.stop()
			})
		})
	}
}

func TestKilledWhileTalkingTheNewEngineHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t), func(_ *Config, p *people) { p.trunks[0].Username, p.trunks[0].Password = "me", "secret" })
		far := w.carrier(0)
		done := w.dial(t.Context())
		invite := far.request(sip.INVITE)
		far.reply(invite, 200, "Record-Route: <sip:10.0.0.9;lr;hop=2>\nRecord-Route: <sip:10.0.0.2:5060;lr;hop=1>\nAllow: UPDATE\nSession-Expires: 90;refresher=uac\nRequire: timer", far.sdp())
		far.request(sip.ACK)
		s := far.sessionOf(invite)
		succeeded(t, done)
		// A move of the far end's, and signs of life, each with a CSeq.
		moved := *far
		moved.addr = netipAddrPort("10.0.0.2:5066")
		s.peer = &moved
		s.inDialog("UPDATE", 0, "Supported: timer\nSession-Expires: 90;refresher=uas\n", "")
		s.response(200, sip.UPDATE)
		update := far.request(sip.UPDATE)
		far.reply(update, 200, "Session-Expires: 90;refresher=uac", "")
		far.request(sip.UPDATE)
		w.kill() // before its answer
		w.start()
		bye := far.request(sip.BYE)
		sameCall(t, bye, invite)
		if tag(bye.To().Params) != far.tag || bye.CSeq().SeqNo != 4 || bye.Recipient.String() != "sip:far@10.0.0.2:5066" ||
			routeOf(bye) != "<sip:10.0.0.2:5060;lr;hop=1> <sip:10.0.0.9;lr;hop=2>" || bye.Via().Value() == invite.Via().Value() || reasonOf(bye).sip != 503 {
			t.Errorf("wrong BYE:\n%s", bye)
		}
		far.reply(bye, 407, `Proxy-Authenticate: Digest realm="carrier", nonce="n", algorithm=MD5`, "")
		again := far.request(sip.BYE)
		if again.CSeq().SeqNo != 5 || header(again, "Proxy-Authorization") == "" {
			t.Errorf("the challenge is not met:\n%s", again)
		}
		far.reply(again, 200, "", "")
		far.silence(time.Minute)
		w.stop()
	})
}

func routeOf(req *sip.Request) string {
	var all []string
	for _, h := range req.GetHeaders("Route") {
		all = append(all, h.Value())
	}
	return strings.Join(all, " ")
}

func TestKilledWhileACallInTalksTheNewEngineHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t))
		far := w.carrier(0)
		l := far.calls("")
		if left := w.ledger(); left != "" {
			t.Errorf("a call in that was not answered is noted: %s", left)
		}
		s := far.picked(l)
		far.silence(3 * time.Hour) // a long talk: the ledger says that we lived
		w.kill()
		far.silence(50 * time.Minute)
		w.start()
		bye := far.request(sip.BYE)
		if bye.From().Value() != s.remote || bye.To().Value() != s.local || bye.CallID().Value() != s.callID || bye.Recipient.String() != "sip:far@10.0.0.2:5060" {
			t.Errorf("wrong BYE:\n%s", bye)
		}
		far.reply(bye, 481, "", "")
		far.silence(time.Minute)
		w.stop()
	})
}

func TestAPhoneIsCancelledWhereItsOwnMessagesCameFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t))
		desk := w.peerAt(netipAddrPort("10.0.0.7:5062"), 0)
		desk.register("101", "secret")
		w.dial(t.Context(), func(d *telephony.Dial) { d.Trunk, d.Number, d.Operator = "", "", "101" })
		invite := desk.request(sip.INVITE)
		desk.reply(invite, 180, "", "")
		w.kill()
		w.start()
		cancel := desk.request(sip.CANCEL)
		matches(t, cancel, invite)
		desk.reply(cancel, 200, "", "")
		desk.reply(invite, 487, "", "")
		desk.request(sip.ACK)
		w.stop()
	})
}

func TestKilledTwiceNothingIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t))
		far := w.carrier(0)
		done := w.dial(t.Context())
		far.answers()
		succeeded(t, done)
		w.kill()
		w.start()
		far.request(sip.BYE)
		w.kill() // before the answer
		w.start()
		far.reply(far.request(sip.BYE), 200, "", "")
		far.silence(time.Minute)
		w.stop()
	})
}

func TestADeadFarEndIsGivenUpAfter32Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t))
		far := w.carrier(0)
		done := w.dial(t.Context())
		far.answers()
		succeeded(t, done)
		w.dial(t.Context())
		far.reply(far.request(sip.INVITE), 180, "", "")
		w.kill()
		began := time.Now()
		w.start()
		if d := time.Since(began); d > 0 {
			t.Errorf("Start waited %v", d)
		}
		time.Sleep(finalWait + time.Second)
		if left := stands(w.ledger()); left != nil {
			t.Errorf("still noted: %v", left)
		}
		w.stop()
	})
}

func TestCallsLongDeadAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t))
		far := w.carrier(0)
		done := w.dial(t.Context())
		far.answers()
		succeeded(t, done)
		w.kill()
		far.silence(61 * time.Minute)
		w.start()
		far.silence(time.Minute)
		w.stop()
	})
}

func TestATornLineCostsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t))
		far := w.carrier(0)
		done := w.dial(t.Context())
		far.answers()
		succeeded(t, done)
		w.kill()
		left := w.ledger()
		for _, torn := range []string{`{"key":"a","at":"2000`, "\x00\x00\x00", `{"key":"b","at":"2000-01-01T00:00:00Z","message":"INVITE sip:`, `{"key":"c","at":"2000-01-01T00:00:00Z","message":"nonsense"}`} {
			if err := os.WriteFile(w.config.Ledger, []byte(left+torn), 0o600); err != nil {
				t.Fatal(err)
			}
			far.seen = map[string]bool{}
			w.start()
			far.request(sip.BYE)
			w.kill() // before the answer: the far end is told again
		}
		if err := os.WriteFile(w.config.Ledger, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.start()
	})
}

func TestEveryEndOfACallEndsItsEntry(t *testing.T) {
	for name, call := range map[string]func(*world, *peer){
		"refused": func(w *world, far *peer) {
			done := w.dial(w.Context())
			far.reply(far.request(sip.INVITE), 486, "", "")
			far.request(sip.ACK)
			<-done
		},
		"refused without hope after a challenge": func(w *world, far *peer) {
			done := w.dial(w.Context())
			far.reply(far.request(sip.INVITE), 401, `WWW-Authenticate: Digest realm="carrier", nonce="n", algorithm=MD5`, "")
			far.request(sip.ACK)
			<-done
		},
		"given up": func(w *world, far *peer) {
			done := w.dial(w.Context())
			req := far.request(sip.INVITE)
			far.reply(req, 180, "", "")
			<-done
			far.reply(far.request(sip.CANCEL), 200, "", "")
			far.reply(req, 487, "", "")
			far.request(sip.ACK)
		},
		"never heard of": func(w *world, far *peer) {
			<-w.dial(w.Context())
			time.Sleep(time.Minute)
		},
		"answered without a codec in common": func(w *world, far *peer) {
			done := w.dial(w.Context())
			far.reply(far.request(sip.INVITE), 200, "", "v=0\no=- 1 1 IN IP4 10.0.0.2\ns=-\nc=IN IP4 10.0.0.2\nt=0 0\nm=audio 4000 RTP/AVP 3\n")
			far.request(sip.ACK)
			far.reply(far.request(sip.BYE), 200, "", "")
			<-done
		},
		"hung up by us": func(w *world, far *peer) {
			done := w.dial(w.Context())
			far.answers()
			succeeded(w.T, done).Hangup(0)
			far.reply(far.request(sip.BYE), 200, "", "")
		},
		"hung up by them": func(w *world, far *peer) {
			done := w.dial(w.Context())
			s := far.answers()
			succeeded(w.T, done)
			s.bye("")
		},
		"a call in": func(w *world, far *peer) {
			far.picked(far.calls("")).bye("")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, withLedger(t))
				call(w, w.carrier(0))
				if left := stands(w.ledger()); left != nil {
					t.Errorf("still noted: %v", left)
				}
				if !strings.Contains(w.ledger(), `"over":true`) {
					t.Error("it was never noted")
				}
				w.stop()
			})
		})
	}
}

func TestACleanStopThatIsCutOffLeavesTheRestToTheNextEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t))
		far := w.carrier(0)
		done := w.dial(t.Context())
		far.answers()
		succeeded(t, done)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := w.engine.Stop(ctx); err == nil {
			t.Error("the stop was not cut off")
		}
		far.request(sip.BYE)
		w.start()
		far.reply(far.request(sip.BYE), 200, "", "")
		w.stop()
	})
}

// stands are the keys that a ledger holds.
func stands(text string) (keys []string) {
	for _, e := range readLedger([]byte(text), time.Now()) {
		keys = append(keys, e.Key)
	}
	return keys
}

func TestAnEntryHoldsNoCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withLedger(t), func(_ *Config, p *people) { p.trunks[0].Username, p.trunks[0].Password = "me", "s3cret" })
		far := w.carrier(0)
		w.dial(t.Context())
		far.reply(far.request(sip.INVITE), 401, `WWW-Authenticate: Digest realm="carrier", nonce="n", algorithm=MD5`, "")
		far.request(sip.ACK)
		invite := far.request(sip.INVITE)
		far.reply(invite, 180, "", "")
		left := w.ledger()
		if strings.Contains(left, "s3cret") || strings.Contains(left, "Digest") {
			t.Errorf("credentials in the ledger:\n%s", left)
		}
		for line := range strings.Lines(left) {
			if !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %s", line)
			}
		}
		w.kill()
		w.start()
		cancel := far.request(sip.CANCEL) // of the second INVITE
		matches(t, cancel, invite)
		far.reply(cancel, 200, "", "")
		far.reply(invite, 487, "", "")
		far.request(sip.ACK)
		w.stop()
	})
}
