package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// rows are those of the table of docs/transfers.md, in every kind of call. A
// phone that does nothing stays on the line.
var rows = map[string]struct {
	flags []string
	play  func(s *scene)
	want  outcome
}{
	"*2 and *1 is back; busy is told; hanging up while it rings is ##": {
		play: func(s *scene) {
			s.behaves("103", telephonytest.Manner{Refuses: 486})
			s.behaves("104", telephonytest.Manner{})
			s.inbound()
			s.hears("client-101", "101")
			s.press("101", "*2102#")
			s.hears("client:music 101-102", "")
			s.press("101", "*1")
			s.hears("client-101", "101")
			s.press("101", "*2103#")
			s.is(call.TransferFailed)
			s.hears("client-101", "101")
			s.press("101", "*2104#")
			s.rings("104")
			s.leaves("101")
			s.hears("client:ring", "")
			s.people["104"].Answer()
			s.hears("client-104", "104")
			s.leaves("client")
		},
		want: outcome{call.Completed, "104", []string{"101 transferred", "104 done"}, []string{
			"started 101 102 attended keys", "failed 101 102", "started 101 103 attended keys", "failed 101 103",
			"started 101 104 attended keys", "completed 104 attended",
		}},
	},
	"*3 of a call out: all three talk, then the other two": {
		play: func(s *scene) {
			s.outbound()
			s.hears("client-101", "101")
			s.press("101", "*2102#")
			s.hears("client:music 101-102", "")
			s.press("101", "*3")
			s.hears("client-101-102", "101-102")
			s.leaves("101")
			s.hears("client-102", "102")
			s.leaves("102")
		},
		want: outcome{call.Completed, "102", []string{"101 transferred", "102 done"}, []string{
			"started 101 102 attended keys", "completed 102 three_way",
		}},
	},
	"the manager of a callback: *2, hung up, then ## by the colleague": {
		play: func(s *scene) {
			s.calledBack()
			s.hears("client-101", "101")
			s.press("101", "*2102#")
			s.hears("client:music 101-102", "")
			s.leaves("101")
			s.hears("client-102", "102")
			s.press("102", "##103#")
			s.hears("client-103", "103")
			s.leaves("client")
		},
		want: outcome{call.Completed, "103", []string{"101 transferred", "102 transferred", "103 done"}, []string{
			"started 101 102 attended keys", "completed 102 attended", "started 102 103 blind keys", "completed 103 blind",
		}},
	},
	"## and nobody answers: it returns, with a name that says so": {
		play: func(s *scene) {
			s.behaves("102", telephonytest.Manner{})
			s.inbound()
			s.hears("client-101", "101")
			s.press("101", "##102#")
			s.hears("client:ring", "")
			s.is(call.TransferReturned)
			s.hears("client-101", "101")
			if name := s.people["101"].Called().From().DisplayName; !strings.Contains(name, clientNumber) || strings.TrimSpace(name) == clientNumber {
				s.t.Errorf("the returned call is called %q", name)
			}
			s.leaves("101")
		},
		want: outcome{call.Completed, "101", []string{"101 transferred", "101 done"}, []string{
			"started 101 102 blind keys", "failed 101 102", "returned 101",
		}},
	},
	"hold, and a transfer by the API": {
		play: func(s *scene) {
			s.inbound()
			s.hears("client-101", "101")
			s.holds("101", true)
			s.hears("client:music", "")
			s.holds("101", false)
			s.hears("client-101", "101")
			must(s.t, s.API.Do(limit(s.t), "POST", "/api/v1/calls/"+s.id+"/transfer", packet{"to": "102", "kind": "blind"}, nil))
			s.hears("client-102", "102")
			s.leaves("client")
		},
		want: outcome{call.Completed, "102", []string{"101 transferred", "102 done"}, []string{
			"hold", "resumed", "started 101 102 blind api", "completed 102 blind",
		}},
	},
	"both sides of a call between operators": {
		play: func(s *scene) {
			s.dials("104", "101", call.Internal)
			s.hears("104-101", "104|101")
			s.press("104", "*2102#")
			s.hears("101:music 104-102", "|101")
			s.leaves("104")
			s.hears("101-102", "102|101")
			s.press("101", "##103#")
			s.hears("102-103", "102|103")
			s.leaves("102")
		},
		want: outcome{call.Completed, "103", []string{"101 transferred", "102 transferred", "103 done"}, []string{
			"started 104 102 attended keys", "completed 102 attended", "started 101 103 blind keys", "completed 103 blind",
		}},
	},
	"REFER three times, by phones that answer late what they are told": {
		play: func(s *scene) {
			for _, who := range []string{"101", "102", "103"} {
				s.behaves(who, telephonytest.Manner{Answers: true, After: 300 * time.Millisecond, LateNotify: time.Second})
			}
			s.outbound()
			s.hears("client-101", "101")
			s.refers("101", "102")
			s.hears("client-102", "102")
			s.refers("102", "103")
			s.hears("client-103", "103")
			s.refers("103", "104")
			s.hears("client-104", "104")
			until(s.t, "103 is hung up", s.people["103"].HungUp) // it does not do so itself
			s.leaves("client")
		},
		want: outcome{call.Completed, "104", []string{"101 transferred", "102 transferred", "103 transferred", "104 done"}, []string{
			"started 101 102 blind refer", "completed 102 blind", "started 102 103 blind refer", "completed 103 blind",
			"started 103 104 blind refer", "completed 104 blind",
		}},
	},
	"REFER that fails leaves the phone in the conversation; ## and REFER are one transfer": {
		play: func(s *scene) {
			s.behaves("102", telephonytest.Manner{Refuses: 486})
			s.inbound()
			s.hears("client-101", "101")
			s.refers("101", "102")
			s.is(call.TransferFailed)
			s.hears("client-101", "101")
			s.press("101", "##")
			s.refers("101", "103")
			s.hears("client-103", "103")
			s.leaves("client")
		},
		want: outcome{call.Completed, "103", []string{"101 transferred", "101 transferred", "103 done"}, []string{
			"started 101 102 blind refer", "failed 101 102", "returned 101", "started 101 103 blind refer", "completed 103 blind",
		}},
	},
	"REFER with Replaces: the consultation becomes a stage": {
		play: func(s *scene) {
			s.inbound()
			s.hears("client-101", "101")
			s.holds("101", true)
			client := s.id
			s.dials("line", "102", call.Internal)
			other := s.id
			s.id = client
			s.hears("client:music line-102", "")
			if code := s.people["101"].ReferReplaces("102", s.people["line"]); code != 202 {
				s.t.Errorf("REFER: %d", code)
			}
			s.hears("client-102", "102")
			if got, events := s.ended(other); got != call.Completed {
				s.t.Errorf("the consultation ended as %v", got)
			} else if m := find(s.t, events, call.Merged, ""); m.OtherCall != s.id {
				s.t.Errorf("%+v, want the client's call %s", m, s.id)
			}
			until(s.t, "the line is hung up", s.people["line"].HungUp)
			s.leaves("102")
		},
		want: outcome{call.Completed, "102", []string{"101 transferred", "102 done"}, []string{
			"hold", "started 101 102 attended refer", "merged", "completed 102 attended",
		}},
	},
	"who vanishes while he consults has hung up, and so has a client": {
		flags: []string{"--media-timeout", "5s"},
		play: func(s *scene) {
			s.inbound()
			s.hears("client-101", "101")
			s.press("101", "*2102#")
			s.hears("client:music 101-102", "")
			s.vanishes("101")
			s.is(call.TransferDone)
			s.hears("client-102", "102")
			s.press("102", "*2103#")
			s.hears("client:music 102-103", "")
			s.vanishes("client")
			until(s.t, "both are hung up", func() bool { return s.people["102"].HungUp() && s.people["103"].HungUp() })
		},
		want: outcome{call.Completed, "102", []string{"101 transferred", "102 done"}, []string{
			"started 101 102 attended keys", "completed 102 attended", "started 102 103 attended keys",
		}},
	},
	"from a queue into a queue": {
		play: func(s *scene) {
			for name, member := range map[string]string{"1000": "101", "2000": "102"} {
				must(s.t, s.API.Do(limit(s.t), "PUT", "/api/v1/queues/"+name, packet{"members": []string{member}}, nil))
			}
			s.route(packet{"queue": "1000"})
			s.inbound()
			s.hears("client-101", "101")
			s.press("101", "*22000#") // nobody is there to be asked
			s.hears("client-102", "102")
			s.leaves("client")
		},
		want: outcome{call.Completed, "102", []string{"101 transferred", "102 done"}, []string{
			"started 101 2000 blind keys", "completed 102 blind",
		}},
	},
}

func TestTransfersWithPhones(t *testing.T) { onBothEngines(t, transfersWithPhones) }

func transfersWithPhones(t *testing.T, start engine) {
	t.Helper()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := cast(t, start, row.flags...)
			row.play(s)
			s.ends(row.want)
		})
	}
}

// A phone with a stack of its own, baresip: it presses *2 and is back by *1,
// holds, resumes, and transfers by its key, after which it hangs up by itself.
func TestTransfersWithBaresip(t *testing.T) { onBothEngines(t, transfersWithBaresip) }

func transfersWithBaresip(t *testing.T, start engine) {
	t.Helper()
	s := cast(t, start)
	if code := s.people["101"].Register(addrOf(t, s.SIP), "101", phonePassword, 0); code != 200 {
		t.Fatalf("101 is still registered: %d", code)
	}
	phone := peers.Phone{Extension: "101", Server: addrOf(t, s.SIP), Password: phonePassword, Tone: tones["101"]}.Start(t)
	s.inbound()
	s.hears("client:101", "101")
	must(t, phone.Hears(limit(t), tones["client"]))
	must(t, phone.Press("*2102#"))
	s.hears("client:music 102:101", "")
	must(t, phone.Hears(limit(t), tones["102"]))
	must(t, phone.Press("*1"))
	s.hears("client:101", "101")
	must(t, phone.Hears(limit(t), tones["client"]))
	// What it hears after a hold is not looked at: baresip 1.0 writes no more down.
	must(t, phone.Hold())
	s.is(call.Held)
	s.hears("client:music", "")
	must(t, phone.Resume())
	s.hears("client:101", "101")
	must(t, phone.Transfer("sip:103@"+s.SIP))
	s.hears("client-103", "103")
	if _, err := phone.Await(limit(t), "CALL_CLOSED"); err != nil {
		t.Error(err)
	}
	s.leaves("client")
	s.ends(outcome{call.Completed, "103", []string{"101 transferred", "103 done"}, []string{
		"started 101 102 attended keys", "failed 101 102", "hold", "resumed", "started 101 103 blind refer", "completed 103 blind",
	}})
}
