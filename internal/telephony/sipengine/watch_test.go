package sipengine

import (
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
)

// lamp is a subscription from the phone's side.
type lamp struct {
	*session
	version int
}

// subscribe is the text of a SUBSCRIBE outside of a dialog.
func (p *peer) subscribe(callID, extension, extra string) string {
	return fmt.Sprintf("SUBSCRIBE sip:%[4]s@%[1]s SIP/2.0\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK%[3]s-1;rport\nMax-Forwards: 70\nFrom: <sip:102@%[1]s>;tag=far\nTo: <sip:%[4]s@%[1]s>\n"+
		"Call-ID: %[3]s\nCSeq: 1 SUBSCRIBE\nContact: <sip:far@%[2]s>\n%[5]s", engineAddr, p.addr, callID, extension, extra)
}

// subscribes sends a SUBSCRIBE as 102 and wants a final status.
func (p *peer) subscribes(callID, extension, extra string, code int) *sip.Response {
	p.w.Helper()
	first := p.subscribe(callID, extension, extra)
	p.send(first + "\n")
	challenge := p.response(401, sip.SUBSCRIBE)
	second := strings.NewReplacer("-1;rport", "-2;rport", "CSeq: 1", "CSeq: 2").Replace(first)
	p.send(second + p.authorization(second, challenge, "102", "secret") + "\n")
	return p.response(code, sip.SUBSCRIBE)
}

// watches subscribes to what 101 does.
func (p *peer) watches(callID, extra string) *lamp {
	p.w.Helper()
	res := p.subscribes(callID, "101", "Event: dialog\nAccept: application/dialog-info+xml\n"+extra, 200)
	return &lamp{session: &session{peer: p, callID: callID, local: res.From().Value(), remote: res.To().Value(), target: res.Contact().Address.String()}, version: -1}
}

// dialogInfo is RFC 4235 as a phone reads it.
type dialogInfo struct {
	XMLName xml.Name `xml:"urn:ietf:params:xml:ns:dialog-info dialog-info"`
	Version int      `xml:"version,attr"`
	State   string   `xml:"state,attr"`
	Entity  string   `xml:"entity,attr"`
	Dialogs []struct {
		ID        string `xml:"id,attr"`
		CallID    string `xml:"call-id,attr"`
		Local     string `xml:"local-tag,attr"`
		Remote    string `xml:"remote-tag,attr"`
		Direction string `xml:"direction,attr"`
		State     string `xml:"state"`
		Param     struct {
			Value string `xml:"pvalue,attr"`
		} `xml:"local>target>param"`
	} `xml:"dialog"`
}

// shows takes a NOTIFY and compares what it says of the calls of 101.
func (l *lamp) shows(subscription string, want ...string) dialogInfo {
	l.w.Helper()
	req := l.requestWithin(sip.NOTIFY, time.Hour)
	l.reply(req, 200, "", "")
	var info dialogInfo
	if err := xml.Unmarshal(req.Body(), &info); err != nil {
		l.w.Fatalf("%v in\n%s", err, req.Body())
	}
	if info.Version <= l.version || info.State != "full" || info.Entity != "sip:101@10.0.0.1" || header(req, "Event") != "dialog" {
		l.w.Errorf("version %d after %d, %s of %s, event %q", info.Version, l.version, info.State, info.Entity, header(req, "Event"))
	}
	l.version = info.Version
	if got := header(req, "Subscription-State"); !strings.HasPrefix(got, subscription) {
		l.w.Errorf("the subscription is %q, want %q", got, subscription)
	}
	var got []string
	for _, d := range info.Dialogs {
		s := d.State
		if d.Direction != "" {
			s += " " + d.Direction
		}
		if d.Param.Value == "no" {
			s += " held"
		}
		got = append(got, s)
	}
	slices.Sort(got) // they come in the order of their tags
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		l.w.Errorf("shown %q, want %q", got, want)
	}
	return info
}

func TestALampFollowsTheColleaguesPhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		key := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0).watches("key", "")
		key.shows("active;expires=", "terminated")
		phone := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0)
		phone.register("101", "secret")
		key.silence(time.Second) // there is a phone now, and no call

		// We call: it rings, talks, holds, resumes, hangs up.
		done := w.dialOperator("101")
		req := phone.request(sip.INVITE)
		info := key.shows("active", "early recipient")
		if d := info.Dialogs[0]; d.CallID != req.CallID().Value() || d.Remote != tag(req.From().Params) || d.Local != "" {
			t.Errorf("the call is shown as %+v", d)
		}
		phone.reply(req, 180, "", "")
		if d := key.shows("active", "early recipient").Dialogs[0]; d.Local != "far" {
			t.Errorf("the phone's tag is %q", d.Local)
		}
		phone.reply(req, 200, "", phone.sdp())
		phone.request(sip.ACK)
		l := succeeded(t, done)
		key.shows("active", "confirmed recipient")
		s := phone.sessionOf(req)
		s.inDialog("INVITE", 0, "", s.sdp("sendonly"))
		s.response(200, sip.INVITE)
		s.ack(s.seq, "")
		key.shows("active", "confirmed recipient held")
		s.inDialog("INVITE", 0, "", s.sdp())
		s.response(200, sip.INVITE)
		s.ack(s.seq, "")
		key.shows("active", "confirmed recipient")
		s.bye("")
		ended(t, l, telephony.ByFar)
		key.shows("active", "terminated")

		// The phone calls.
		l = phone.callsAs("101", "secret")
		key.shows("active", "early initiator")
		s = phone.picked(l)
		key.shows("active", "confirmed initiator")
		s.bye("")
		key.shows("active", "terminated")
	})
}

func TestALampShowsOneOfTheForksOfACallAndAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		desk, soft := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0), w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
		desk.register("101", "secret")
		soft.register("101", "secret")
		third := w.peerAt(netipAddrPort("10.0.1.3:5060"), 0)
		s := third.picked(third.callsAs("101", "secret"))
		key := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0).watches("key", "")
		key.shows("active", "confirmed initiator")
		done := w.dialOperator("101")
		a, b := desk.request(sip.INVITE), soft.request(sip.INVITE)
		key.shows("active", "confirmed initiator", "early recipient")
		desk.reply(a, 486, "", "")
		desk.request(sip.ACK)
		soft.reply(b, 486, "", "")
		soft.request(sip.ACK)
		failed(t, done, 486, telephony.PhaseTrying)
		s.bye("")
		for m := key.next(time.Second); m != nil; m = key.next(time.Second) {
			key.reply(m.(*sip.Request), 200, "", "")
		}
	})
}

func TestASubscriptionIsRenewedAndExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		key := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0).watches("key", "Expires: 3600\n")
		key.seq = 2
		key.shows("active;expires=600", "terminated")
		key.silence(9 * time.Minute)
		key.inDialog("SUBSCRIBE", 0, "Event: dialog\nExpires: 120\n", "")
		if res := key.response(200, sip.SUBSCRIBE); header(res, "Expires") != "120" {
			t.Errorf("Expires %q", header(res, "Expires"))
		}
		key.shows("active;expires=120", "terminated") // although nothing has changed
		began := time.Now()
		key.shows("terminated;reason=timeout", "terminated")
		if after := time.Since(began); after != 2*time.Minute {
			t.Errorf("after %v", after)
		}
		key.inDialog("SUBSCRIBE", 0, "Event: dialog\nExpires: 120\n", "")
		key.response(481, sip.SUBSCRIBE)
	})
}

func TestASubscriptionIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		key := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0).watches("key", "")
		key.seq = 2
		key.shows("active", "terminated")
		key.inDialog("SUBSCRIBE", 0, "Event: dialog\nExpires: 0\n", "")
		key.response(200, sip.SUBSCRIBE)
		key.shows("terminated;reason=timeout", "terminated")
		key.watches("look", "Expires: 0\n").shows("terminated;reason=timeout", "terminated")
		key.silence(time.Hour)
	})
}

func TestAPhoneThatIsGoneIsNotToldForever(t *testing.T) {
	for name, answer := range map[string]int{"it knows nothing": 481, "it says nothing": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := office(t)
				key := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0).watches("key", "")
				req := key.request(sip.NOTIFY)
				if answer != 0 {
					key.reply(req, answer, "", "")
				}
				time.Sleep(time.Minute)
				l := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0).callsAs("101", "secret")
				key.silence(time.Minute)
				l.Hangup(0)
			})
		})
	}
}

func TestWhatASubscriptionMayNot(t *testing.T) {
	for _, tt := range []struct {
		name, extension, extra string
		code                   int
		header, value          string
	}{
		{"another event", "101", "Event: message-summary\n", 489, "Allow-Events", allowEvents},
		{"no event", "101", "", 489, "Allow-Events", allowEvents},
		{"nobody", "999", "Event: dialog\n", 404, "", ""},
		{"not even a name", "%0d", "Event: dialog\n", 404, "", ""},
		{"a form we do not write", "101", "Event: dialog\nAccept: text/plain, application/cpim-pidf+xml\n", 406, "", ""},
		{"too often", "101", "Event: dialog\nExpires: 10\n", 423, "Min-Expires", "60"},
		{"more than we know", "101", "Event: dialog\nRequire: eventlist\n", 420, "Unsupported", "eventlist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := office(t)
				key := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0)
				res := key.subscribes("key", tt.extension, tt.extra, tt.code)
				if tt.header != "" && header(res, tt.header) != tt.value {
					t.Errorf("%s is %q", tt.header, header(res, tt.header))
				}
				key.silence(time.Minute)
			})
		})
	}
}

func TestOneOperatorHasNoMoreThanSoManySubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		key := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0)
		var ss subscriptions
		var first *subscription
		for range watchesMax {
			s := &subscription{e: w.engine, d: &dialog{id: dialogID{callID: sip.GenerateTagN(8)}}, feed: &watch{watcher: "102", extension: "101"}}
			if first == nil {
				first = s
			}
			if !ss.add(s) {
				t.Fatal("refused below the limit")
			}
		}
		one := func(watcher string) *subscription {
			return &subscription{e: w.engine, d: &dialog{}, feed: &watch{watcher: watcher, extension: "101"}}
		}
		if ss.add(one("102")) || !ss.add(one("103")) {
			t.Error("the limit is not each operator's own")
		}
		ss.remove(first)
		ss.remove(first)
		if !ss.add(one("102")) || ss.add(one("102")) {
			t.Error("one that is gone makes room for one")
		}
		w.engine.subs.held = map[string]int{"102": watchesMax}
		w.engine.subs.all = map[*subscription]struct{}{}
		if res := key.subscribes("key", "101", "Event: dialog\n", 480); header(res, "Retry-After") == "" {
			t.Error("it is not told when to try again")
		}
		w.engine.subs.held = nil
	})
}

func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		p := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0)
		p.subscribes("look", "101", "Event: presence;id=7\n", 200)
		says := func(basic, note string) {
			t.Helper()
			req := p.request(sip.NOTIFY)
			p.reply(req, 200, "", "")
			var pidf struct {
				XMLName xml.Name `xml:"urn:ietf:params:xml:ns:pidf presence"`
				Basic   string   `xml:"tuple>status>basic"`
				Note    string   `xml:"tuple>note"`
			}
			if err := xml.Unmarshal(req.Body(), &pidf); err != nil {
				t.Fatal(err)
			}
			if pidf.Basic != basic || pidf.Note != note || header(req, "Event") != "presence;id=7" {
				t.Errorf("%+v of %q, want %s, %s", pidf, header(req, "Event"), basic, note)
			}
		}
		says("closed", "Not registered")
		phone := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0)
		phone.register("101", "secret")
		says("open", "Available")
		l := phone.callsAs("101", "secret")
		says("open", "On the phone")
		l.Hangup(0)
		says("open", "Available")
	})
}

func TestWatchersAreToldThatTheyMayTryAgainWhenWeStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		key := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0).watches("key", "")
		key.shows("active", "terminated")
		dead := w.peerAt(netipAddrPort("10.0.1.8:5060"), 0).watches("dead", "")
		dead.request(sip.NOTIFY)
		began := time.Now()
		done := make(chan error, 1)
		go func() { done <- w.engine.Stop(t.Context()) }()
		key.shows("terminated;reason=probation", "terminated")
		if err := <-done; err != nil || time.Since(began) > partingWait+time.Second {
			t.Errorf("stopped with %v after %v", err, time.Since(began))
		}
	})
}

func TestDeviceStatesAreToldAsTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		phone := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0)
		phone.register("101", "secret")
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan string, 16)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for extension, state := range w.engine.DeviceStates(ctx) {
				told <- extension + " " + string(state)
			}
		}()
		want := func(want string) {
			t.Helper()
			if got := <-told; got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		want("101 NOT_INUSE")
		l := phone.callsAs("101", "secret")
		want("101 INUSE") // it dials
		s := phone.picked(l)
		s.inDialog("INVITE", 0, "", s.sdp("sendonly"))
		s.response(200, sip.INVITE)
		s.ack(s.seq, "")
		want("101 ONHOLD")
		s.bye("")
		want("101 NOT_INUSE")
		done := w.dialOperator("101")
		req := phone.request(sip.INVITE)
		want("101 RINGING")
		phone.reply(req, 486, "", "")
		phone.request(sip.ACK)
		failed(t, done, 486, telephony.PhaseTrying)
		want("101 NOT_INUSE")
		want("101 UNAVAILABLE") // its registration runs out
		cancel()
		<-ended
	})
}

func TestDeviceStateOfSeveralCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := office(t)
		desk, soft := w.peerAt(netipAddrPort("10.0.1.1:5060"), 0), w.peerAt(netipAddrPort("10.0.1.2:5060"), 0)
		desk.register("101", "secret")
		state := func(want telephony.DeviceState) {
			t.Helper()
			synctest.Wait()
			if got := w.engine.DeviceState("101"); got != want {
				t.Errorf("device state %s, want %s", got, want)
			}
		}
		held := soft.picked(soft.callsAs("101", "secret"))
		held.inDialog("INVITE", 0, "", held.sdp("sendonly"))
		held.response(200, sip.INVITE)
		held.ack(held.seq, "")
		state(telephony.OnHold)
		done := w.dialOperator("101")
		req := desk.request(sip.INVITE)
		state(telephony.Ringing)
		desk.reply(req, 200, "", desk.sdp())
		desk.request(sip.ACK)
		l := succeeded(t, done)
		state(telephony.InUse) // one talks, one is held
		done = w.dialOperator("101")
		req = desk.request(sip.INVITE)
		state(telephony.InUse) // and one rings
		desk.reply(req, 486, "", "")
		desk.request(sip.ACK)
		failed(t, done, 486, telephony.PhaseTrying)
		state(telephony.InUse) // being busy is the phone's word on one call
		l.Hangup(0)
		desk.reply(desk.request(sip.BYE), 200, "", "")
		state(telephony.OnHold)
		held.bye("")
		state(telephony.NotInUse)
	})
}

// Whose extension is odd is shown all the same, and breaks no document.
func TestANameCannotBreakADocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const odd = `<"Анна"&]]>`
		w := newWorld(t, func(_ *Config, p *people) {
			p.operators["102"] = directory.Operator{Extension: "102", Password: "secret"}
			p.operators[odd] = directory.Operator{Extension: odd, Password: "secret"}
		})
		p := w.peerAt(netipAddrPort("10.0.1.9:5060"), 0)
		p.subscribes("key", userPart(odd), "Event: dialog\n", 200)
		req := p.request(sip.NOTIFY)
		p.reply(req, 200, "", "")
		var info dialogInfo
		if err := xml.Unmarshal(req.Body(), &info); err != nil || info.Dialogs[0].ID != odd {
			t.Errorf("%v in\n%s", err, req.Body())
		}
	})
}
