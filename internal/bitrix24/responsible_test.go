package bitrix24_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/responsible"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

const search = "telephony.externalCall.searchCrmEntities"

// finds asks who is responsible for the client, in the CRM first. Here it is
// Vera, by her calls.
func (o *office) finds() (call.Responsible, time.Duration) {
	o.t.Helper()
	f := responsible.Finder{Calls: verasCalls{}, CRM: o.current()}
	began := time.Now()
	r, err := f.Responsible(o.t.Context(), storetest.Mine, client, call.ResponsibleRule{CRM: time.Second})
	if err != nil {
		o.t.Error(err)
	}
	return r, time.Since(began)
}

type verasCalls struct{}

// Responsible implements responsible.Calls.
func (verasCalls) Responsible(context.Context, string, string, call.ResponsibleRule) (call.Responsible, error) {
	return call.Responsible{Operator: vera, CallID: "c", Source: call.SourceCalls, Reason: "103 has talked"}, nil
}

// asked is how often a method was asked for.
func (o *office) asked(method string) (n int) {
	for _, m := range o.portal.Requests() {
		if m == method {
			n++
		}
	}
	return n
}

// «The client's responsible employee in the CRM can be the source of the
// responsible-manager lookup, with a time limit and the local lookup as
// fallback»: whatever the CRM says or does not, it is one request.
func TestTheCRMNamesTheResponsibleOrTheCallsDo(t *testing.T) {
	always := func(trouble bitrixtest.Trouble) func(int, string) *bitrixtest.Trouble {
		return func(int, string) *bitrixtest.Trouble { return &trouble }
	}
	contact := func(user int64) []bitrixtest.Object {
		return []bitrixtest.Object{{Type: "CONTACT", ID: 797, Responsible: user}, {Type: "LEAD", ID: 5, Responsible: borisD}}
	}
	for name, tt := range map[string]struct {
		knows    []bitrixtest.Object
		trouble  func(int, string) *bitrixtest.Trouble
		operator string
		reason   string
		takes    time.Duration
	}{
		"by the profile":        {contact(annaID), nil, anna, "101 is responsible for the client in Bitrix24 (CONTACT 797)", 0},
		"by what is set here":   {contact(borisD), nil, boris, "102 is responsible for the client in Bitrix24 (CONTACT 797)", 0},
		"just in time":          {contact(annaID), always(bitrixtest.Trouble{Status: 200, Acts: true, Takes: 999 * time.Millisecond}), anna, "101 is", 999 * time.Millisecond},
		"unknown client":        {nil, nil, vera, "Bitrix24 does not know the client; 103 has talked", 0},
		"nobody's client":       {contact(0), nil, vera, "nobody is responsible for the client in Bitrix24 (CONTACT 797); 103", 0},
		"no operator here":      {contact(13), nil, vera, "user 13, who is responsible for the client in Bitrix24 (CONTACT 797), is no operator here; 103", 0},
		"without a number":      {contact(bitrixtest.Owner), nil, vera, "user 1, who is", 0},
		"slow":                  {contact(annaID), always(bitrixtest.Trouble{Status: 200, Acts: true, Takes: 2 * time.Second}), vera, "the CRM did not answer within 1s; 103", time.Second},
		"hangs":                 {contact(annaID), always(bitrixtest.ActsAndHangs), vera, "the CRM did not answer within 1s; 103", time.Second},
		"503":                   {contact(annaID), always(bitrixtest.QueryLimit), vera, "the CRM does not say: " + search + ": 503 QUERY_LIMIT_EXCEEDED", 0},
		"429":                   {contact(annaID), always(bitrixtest.OperationLimit), vera, "the CRM does not say: " + search + ": 429 OPERATION_TIME_LIMIT", 0},
		"500":                   {contact(annaID), always(bitrixtest.ServerError), vera, "the CRM does not say: " + search + ": 500", 0},
		"a webhook not let in":  {contact(annaID), always(bitrixtest.NoAuth), vera, "the CRM does not say: " + search + ": 401 NO_AUTH_FOUND", 0},
		"down":                  {contact(annaID), always(bitrixtest.Down), vera, "the CRM does not say: " + search + ": no answer", 0},
		"a page for an answer":  {contact(annaID), always(bitrixtest.ActsAndFails), vera, "the CRM does not say: " + search + ": 502", 0},
		"an expired webhook":    {contact(annaID), always(bitrixtest.Expired), vera, "expired_token", 0},
		"refused: no right":     {contact(annaID), always(bitrixtest.Trouble{Status: 403, Code: "insufficient_scope"}), vera, "the CRM does not say: " + search + ": 403 insufficient_scope", 0},
		"not what is described": {contact(annaID), always(bitrixtest.Trouble{Status: 400, Code: "ERROR_CORE", Description: "no"}), vera, "the CRM does not say: " + search + ": 400 ERROR_CORE no", 0},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, o *office) {
				o.portal.Knows("8 (916) 123-45-67", tt.knows...)
				o.portal.Knows(client, tt.knows...)
				o.portal.Trouble = tt.trouble
				before := len(o.portal.Requests())
				r, took := o.finds()
				if r.Operator != tt.operator || !strings.HasPrefix(r.Reason, tt.reason) && !strings.Contains(r.Reason, tt.reason+" ") || took != tt.takes {
					t.Errorf("%+v after %s", r, took)
				}
				if (r.Source == call.SourceCRM) != (tt.operator != vera) || (r.Source == call.SourceCRM) != (r.CallID == "") {
					t.Errorf("source %s, call %q", r.Source, r.CallID)
				}
				if n := len(o.portal.Requests()) - before; n != 1 || o.asked(search) != 1 {
					t.Errorf("%d requests: %v", n, o.portal.Requests())
				}
			})
		})
	}
}

// Who has no portal, and whose number cannot be recognised, costs no request.
func TestWhereNothingCanBeAskedNothingIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		if r, _ := o.finds(); r.Operator != vera || !strings.HasPrefix(r.Reason, "the CRM does not say: the account is not connected with Bitrix24; ") {
			t.Errorf("%+v", r)
		}
		waiting := application
		waiting.RefreshToken = ""
		o.connect(waiting)
		if r, _ := o.finds(); r.Operator != vera || !strings.Contains(r.Reason, "not installed") {
			t.Errorf("%+v", r)
		}
		for _, number := range []string{"", "anonymous", "101"} {
			if extension, why, err := o.current().Responsible(t.Context(), storetest.Mine, number); extension != "" || !strings.Contains(why, "ten digits") || err != nil {
				t.Error(number, extension, why, err)
			}
		}
		if n := o.asked(search); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// A token that has expired is renewed; when the caller has no time for that, it
// is renewed all the same and not broken off: the refresh token is good for once.
func TestALookUpNeverCutsOffTheRenewalOfAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.portal.Knows(client, bitrixtest.Object{Type: "CONTACT", ID: 1, Responsible: annaID})
		o.connect(application)
		if err := o.current().Event(t.Context(), o.portal.Install()); err != nil {
			t.Fatal(err)
		}
		before := o.portal.Renewals()
		o.portal.ExpireToken()
		if r, _ := o.finds(); r.Operator != anna || o.portal.Renewals() != before+1 || o.asked(search) != 2 {
			t.Errorf("%+v, %d renewals, %v", r, o.portal.Renewals(), o.portal.Requests())
		}
		o.portal.ExpireToken()
		o.portal.RenewalTakes = 5 * time.Second
		if r, took := o.finds(); r.Operator != vera || took != time.Second || !strings.HasPrefix(r.Reason, "the CRM did not answer within 1s") {
			t.Errorf("%+v after %s", r, took)
		}
		// Another caller meanwhile starts no second one, and the server that stops
		// lets it come to its end.
		if r, _ := o.finds(); r.Operator != vera {
			t.Errorf("%+v", r)
		}
		o.current().Close(t.Context())
		if n := o.portal.Renewals(); n != before+2 {
			t.Errorf("%d renewals", n)
		}
		o.portal.RenewalTakes = 0
		o.restart() // what came is on the disk
		if r, _ := o.finds(); r.Operator != anna || o.portal.Renewals() != before+2 {
			t.Errorf("%+v, %d renewals", r, o.portal.Renewals())
		}
	})
}

// A caller who hangs up ends the look-up with the cause of that.
func TestALookUpEndsWithItsCaller(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		o.portal.Trouble = func(int, string) *bitrixtest.Trouble { return &bitrixtest.ActsAndHangs }
		gone := errors.New("the caller hung up")
		ctx, hangUp := context.WithCancelCause(t.Context())
		time.AfterFunc(300*time.Millisecond, func() { hangUp(gone) })
		began := time.Now()
		f := responsible.Finder{Calls: verasCalls{}, CRM: o.current()}
		_, err := f.Responsible(ctx, storetest.Mine, client, call.ResponsibleRule{CRM: time.Second})
		if took := time.Since(began); !errors.Is(err, gone) || took != 300*time.Millisecond {
			t.Errorf("%v after %s", err, took)
		}
	})
}

// What has waited through an outage does not keep a caller waiting, and with the
// callers the portal is not asked more than it takes.
func TestALookUpGoesBeforeTheDeliveriesAndWithinTheLimits(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		o.portal.Knows(client, bitrixtest.Object{Type: "CONTACT", ID: 1, Responsible: annaID})
		const backlog = 100
		ids := make([]string, backlog)
		for i := range ids {
			ids[i] = call.NewID()
			o.add(ids[i], created(time.Now(), call.Inbound), rings(time.Now(), "o1", anna), ended(time.Now(), call.NoAnswer, ""))
		}
		time.Sleep(time.Minute) // the limit's counter is empty
		var drained sync.WaitGroup
		for _, id := range ids {
			drained.Go(func() { o.drain(id) })
		}
		synctest.Wait()
		time.Sleep(5 * time.Second)
		// A burst of callers, then one each second while the portal is told.
		for i := range 40 {
			if i >= 10 {
				time.Sleep(time.Second)
			}
			if r, took := o.finds(); r.Operator != anna || took != 0 {
				t.Fatalf("caller %d: %+v after %s", i, r, took)
			}
		}
		// More than that would be too many; whoever comes then is not kept waiting.
		refused := 0
		for range 20 {
			if r, took := o.finds(); r.Operator == vera {
				refused++
				if want := fmt.Sprintf("the CRM does not say: %v: the portal takes 2 requests a second; ", bitrix24.ErrBusy); took != 0 || !strings.HasPrefix(r.Reason, want) {
					t.Errorf("%+v after %s", r, took)
				}
			}
		}
		if refused < 10 {
			t.Errorf("%d were refused", refused)
		}
		drained.Wait()
		if n := o.portal.Refused(); n != 0 {
			t.Errorf("the portal has refused %d requests", n)
		}
		if n := len(o.portal.Finished()); n != backlog {
			t.Errorf("%d calls are there", n)
		}
	})
}

// A portal that wants to be left alone is left alone at once.
func TestAPortalInTroubleIsNotAskedForACaller(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		o.portal.Trouble = func(int, string) *bitrixtest.Trouble { return &bitrixtest.NoAuth }
		id := call.NewID()
		o.add(id, talk(time.Now())[:3]...)
		if _, _, err := o.current().Send(t.Context(), lane(id)); err != nil {
			t.Fatal(err)
		}
		if r, took := o.finds(); r.Operator != vera || took != 0 || !strings.Contains(r.Reason, "NO_AUTH_FOUND") || o.asked(search) != 0 {
			t.Errorf("%+v after %s", r, took)
		}
		// Nor a method that has used up its time.
		time.Sleep(time.Hour)
		o.portal.Trouble = func(int, string) *bitrixtest.Trouble { return &bitrixtest.OperationLimit }
		o.finds()
		o.portal.Trouble = nil
		if r, _ := o.finds(); r.Operator != vera || !strings.Contains(r.Reason, "has used up its time") || o.asked(search) != 1 {
			t.Errorf("%+v, %d asked", r, o.asked(search))
		}
		time.Sleep(2 * time.Minute)
		o.portal.Knows(client, bitrixtest.Object{Type: "LEAD", ID: 3, Responsible: annaID})
		if r, _ := o.finds(); r.Operator != anna {
			t.Errorf("%+v", r)
		}
	})
}
