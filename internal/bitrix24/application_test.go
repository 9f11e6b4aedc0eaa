package bitrix24_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// application is the portal's application, not yet installed.
var application = bitrix24.Settings{
	Portal: "https://example.bitrix24.ru", ClientID: bitrixtest.ClientID, ClientSecret: bitrixtest.ClientSecret, RefreshToken: bitrixtest.RefreshToken,
}

// An access token lives an hour. Many who meet its end renew it once: the old
// refresh token is worth nothing after that.
func TestATokenIsRenewedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.connect(application)
		if n := o.portal.Renewals(); n != 1 { // the first token
			t.Fatalf("%d renewals", n)
		}
		time.Sleep(61 * time.Minute)
		for range 12 {
			o.add(call.NewID(), created(time.Now().UTC(), call.Inbound), ended(time.Now().UTC(), call.Abandoned, ""))
		}
		o.drainAll(t.Context())
		if n := o.portal.Renewals(); n != 2 || len(o.portal.Finished()) != 12 {
			t.Errorf("%d renewals, %d calls", n, len(o.portal.Finished()))
		}
		o.restart() // what was renewed is kept
		o.oneMore(t)
		if n := o.portal.Renewals(); n != 2 {
			t.Errorf("%d renewals after a restart", n)
		}
	})
}

// oneMore tells one more call.
func (o *office) oneMore(t *testing.T) {
	t.Helper()
	before := len(o.portal.Finished())
	id := call.NewID()
	o.add(id, created(time.Now().UTC(), call.Inbound), ended(time.Now().UTC(), call.Abandoned, ""))
	o.drain(id)
	if n := len(o.portal.Finished()) - before; n != 1 {
		t.Errorf("%d calls more", n)
	}
}

// A portal that takes applications alone says so, and what waits is told when
// the account is connected as one.
func TestWhatAWebhookMayNotTellWaitsForTheApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.portal.AppOnly = true
		o.connect()
		id := call.NewID()
		sound := o.recorded(id)
		o.add(id, talk(time.Now().UTC())...)
		if _, more, err := o.current().Send(t.Context(), lane(id)); err != nil || !more {
			t.Fatal(more, err)
		}
		if d := o.deliveries(id, store.DeliveryWaiting); !strings.Contains(d[len(d)-1].LastError, "WRONG_AUTH_TYPE") {
			t.Errorf("%+v", d)
		}
		o.connect(application)
		o.drain(id)
		o.rightly(id, sound)
	})
}

// Tokens that are worth nothing lose no call: it waits until the application is
// installed again.
func TestARevokedApplicationIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.connect(application)
		o.portal.Install() // somebody has installed it anew: our tokens are old
		id := call.NewID()
		sound := o.recorded(id)
		o.add(id, talk(time.Now().UTC())...)
		var told sync.WaitGroup
		told.Go(func() { o.drain(id) })
		time.Sleep(10 * time.Minute)
		if v, err := o.current().Connection(t.Context(), storetest.Mine); err != nil || v.State != bitrix24.StateFailing {
			t.Errorf("%+v, %v", v, err)
		}
		if err := o.current().Event(t.Context(), o.portal.Install()); err != nil {
			t.Fatal(err)
		}
		told.Wait()
		o.rightly(id, sound)
	})
}
