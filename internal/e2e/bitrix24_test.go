package e2e

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/softphone"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// crm opens a portal, in which that goes wrong, and lets the server know of it. 101 is user 11 there by
// the profile, 102 user 12 by what is set here.
func (s *server) crm(trouble func(n int, method string) *bitrixtest.Trouble) *bitrixtest.Portal {
	s.t.Helper()
	p := bitrixtest.New("", bitrixtest.User{ID: 11, Extension: "101"}, bitrixtest.User{ID: 12})
	p.Trouble = trouble
	served := p.Serve()
	s.t.Cleanup(served.Close)
	must(s.t, s.API.Do(limit(s.t), "PUT", "/api/v1/integrations/bitrix24",
		packet{"webhook_url": p.WebhookURL(), "application_token": bitrixtest.ApplicationToken}, nil))
	return p
}

// has waits until the portal has a call with its recording, and checks that
// it has no other of it.
func (s *server) has(p *bitrixtest.Portal, callID string) bitrixtest.Call {
	s.t.Helper()
	var found []bitrixtest.Call
	until(s.t, "the portal has the call and its recording", func() bool {
		found = slices.DeleteFunc(p.Finished(), func(c bitrixtest.Call) bool { return c.External != callID && callID != c.ID })
		return len(found) > 0 && found[0].Record != nil
	})
	if len(found) != 1 {
		s.t.Errorf("the portal has the call %d times: %+v", len(found), found)
	}
	return found[0]
}

// whole checks that the portal has the whole recording, and how long the talk
// was.
func (s *server) whole(c bitrixtest.Call, callID string) {
	s.t.Helper()
	var file bytes.Buffer
	must(s.t, s.API.Recording(limit(s.t), callID, &file))
	if !bytes.Equal(c.Record, file.Bytes()) {
		s.t.Errorf("the portal has %d bytes of the recording's %d, or others", len(c.Record), file.Len())
	}
	var told struct {
		TalkS float64 `json:"talk_s"`
	}
	must(s.t, s.API.Do(limit(s.t), "GET", "/api/v1/calls/"+callID, nil, &told))
	if d := float64(c.DurationS) - told.TalkS; d < -0.5 || d > 1 {
		s.t.Errorf("the portal has %d s, they talked for %v s", c.DurationS, told.TalkS)
	}
}

// An inbound call that is passed on is one call in Bitrix24: of the last who
// picked up, with the whole recording; the cards follow the phones.
func TestATransferredCallIsOneCallInBitrix24(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{Args: []string{"--outbound-allow", "127.0.0.0/8"}})
	srv.operator("101", presses(managerTone, 0, softphone.Key{After: time.Second, Digits: "##102#"}), nil)
	srv.operator("102", says(secondTone, sips), packet{"bitrix_user_id": "12"})
	client := srv.carrier("city", softphone.Script{})
	srv.route(packet{"operator": "101"})
	portal := srv.crm(nil)

	leg, err := client.CallAs(limit(t), clientNumber, "+74951112233")
	must(t, err)
	_ = says(clientTone, 0).Talk(limit(t), leg)
	id := srv.only(call.Inbound)
	srv.expect(id, call.Completed)
	c := srv.has(portal, id)
	if c.Type != 2 || c.User != 11 || c.Responsible != 12 || c.Status != "200" || c.Comment == "" || !slices.Equal(c.Shown, []int64{11, 12}) {
		t.Errorf("%+v", c)
	}
	srv.whole(c, id)
	if n := len(portal.Calls()); n != 1 {
		t.Errorf("%d calls were registered", n)
	}
	var list struct {
		Items []struct{ Kind, State, Target string }
	}
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/deliveries?call_id="+id, nil, &list))
	for _, d := range list.Items {
		if d.Kind != "bitrix24" || d.State != "delivered" {
			t.Errorf("%+v", d)
		}
	}
}

// A callback is one, too, of type 4, also if the answer to the first
// request of each kind is lost.
func TestACallbackIsOneCallInBitrix24(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{Args: []string{"--outbound-allow", "127.0.0.0/8"}})
	srv.trunk("managers", peers.Answerer{Tone: managerTone}.Start(t))
	srv.trunk("clients", peers.Answerer{Tone: clientTone, HangUp: 2 * time.Second}.Start(t))
	srv.extension("102", packet{"phones": []string{managerNumber}, "bitrix_user_id": "12"})
	failed := make(map[string]bool)
	portal := srv.crm(func(_ int, method string) *bitrixtest.Trouble {
		if failed[method] || !strings.HasPrefix(method, "telephony.") {
			return nil
		}
		failed[method] = true
		return &bitrixtest.ActsAndFails
	})
	a := srv.callback(order(nil))
	srv.expect(a.CallID, call.Completed)
	c := srv.has(portal, a.CallID)
	if c.Type != 4 || c.Client != clientNumber || c.Responsible != 12 || c.Status != "200" {
		t.Errorf("%+v", c)
	}
	srv.whole(c, a.CallID)
}

// Somebody clicks a number in Bitrix24: his phone rings, then the client's, and
// it is the call that Bitrix24 has registered itself.
func TestAClickInBitrix24(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{Args: []string{"--outbound-allow", "127.0.0.0/8"}})
	srv.operator("101", says(managerTone, 0), nil)
	srv.carrier("city", says(clientTone, sips))
	portal := srv.crm(nil)
	clicked, form := portal.Click(11, clientNumber)
	res, err := http.PostForm(srv.API.Base+"/api/v1/integrations/bitrix24/events", form) //nolint:noctx // the server is the test's own
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	id := srv.only(call.Callback)
	srv.expect(id, call.Completed)
	c := srv.has(portal, clicked)
	if c.Responsible != 11 || c.Status != "200" {
		t.Errorf("%+v", c)
	}
	srv.whole(c, id)
	if n := len(portal.Calls()); n != 1 {
		t.Errorf("%d calls are registered", n)
	}
}

// «The client's responsible employee in the CRM»: he rings first, though the
// client talked to somebody else last. Where the CRM is too slow it is whom the
// client talked to last, and the timeline tells why.
func TestWhomTheCRMNamesRingsFirst(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{Args: []string{"--outbound-allow", "127.0.0.0/8"}})
	srv.operator("101", says(managerTone, time.Second), nil)
	srv.operator("102", says(secondTone, time.Second), packet{"bitrix_user_id": "12"})
	client := srv.carrier("city", softphone.Script{})
	calls := make(map[string]bool)
	// rings calls in and returns who rang, in order, and what was found out about
	// who is responsible.
	rings := func() (who []string, note string) {
		leg, err := client.CallAs(limit(t), clientNumber, "+74951112233")
		must(t, err)
		_ = says(clientTone, 0).Talk(limit(t), leg)
		var id string
		until(t, "the call is there", func() bool {
			var list struct{ Items []struct{ ID string } }
			must(t, srv.API.Do(limit(t), "GET", "/api/v1/calls?direction=inbound", nil, &list))
			id = list.Items[0].ID // the newest
			return !calls[id]
		})
		calls[id] = true
		for _, e := range srv.expect(id, call.Completed) {
			switch {
			case e.Type == call.Dialing:
				who = append(who, e.Operator)
			case strings.HasPrefix(e.Reason, "responsible: "):
				note = e.Reason
			}
		}
		return who, note
	}
	srv.route(packet{"operator": "101"})
	if who, _ := rings(); !slices.Equal(who, []string{"101"}) {
		t.Fatal(who)
	}

	var slow atomic.Bool
	portal := srv.crm(func(_ int, method string) *bitrixtest.Trouble {
		if slow.Load() && strings.HasSuffix(method, ".searchCrmEntities") {
			return &bitrixtest.ActsAndHangs
		}
		return nil
	})
	portal.Knows(clientNumber, bitrixtest.Object{Type: "CONTACT", ID: 797, Responsible: 12})
	srv.route(packet{"responsible": packet{"source": "crm", "crm_timeout_ms": 10000}}, packet{"operator": "101"})
	if who, note := rings(); !slices.Equal(who, []string{"102"}) || note != "responsible: 102: 102 is responsible for the client in Bitrix24 (CONTACT 797)" {
		t.Error(who, note)
	}

	srv.route(packet{"operator": "101"})
	rings()
	slow.Store(true)
	srv.route(packet{"responsible": packet{"source": "crm", "crm_timeout_ms": 100}}, packet{"operator": "102"})
	if who, note := rings(); !slices.Equal(who, []string{"101"}) ||
		!strings.HasPrefix(note, "responsible: 101: the CRM did not answer within 100ms; 101 has the last contact with the client: inbound, answered at ") {
		t.Error(who, note)
	}
	if n := len(slices.DeleteFunc(portal.Requests(), func(m string) bool { return !strings.HasSuffix(m, ".searchCrmEntities") })); n != 2 {
		t.Errorf("the portal was asked %d times", n)
	}
}
