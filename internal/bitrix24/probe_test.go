package bitrix24_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// A test of the connection says in words what the portal says.
func TestAConnectionIsTested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		if _, err := o.current().Test(t.Context(), storetest.Mine); !errors.Is(err, bitrix24.ErrNotConnected) {
			t.Errorf("without a portal: %v", err)
		}
		waits := application
		waits.RefreshToken = ""
		o.connect(waits)
		if _, err := o.current().Test(t.Context(), storetest.Mine); !errors.Is(err, bitrix24.ErrNotInstalled) {
			t.Errorf("before the installation: %v", err)
		}
		o.connect()
		got, err := o.current().Test(t.Context(), storetest.Mine)
		if err != nil || !got.Works || got.Error != "" || got.UserID != bitrixtest.Owner || !slices.Contains(got.Rights, "telephony") {
			t.Errorf("%+v %v", got, err)
		}
		o.portal.Trouble = func(int, string) *bitrixtest.Trouble { return &bitrixtest.NoAuth }
		got, err = o.current().Test(t.Context(), storetest.Mine)
		if err != nil || got.Works || got.Error != "profile: 401 NO_AUTH_FOUND Wrong authorization data" {
			t.Errorf("%+v %v", got, err)
		}
	})
}

// What the portal was not told yet is counted, with the last error.
func TestTheOutboxIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.connect()
		o.portal.Trouble = func(int, string) *bitrixtest.Trouble { return &bitrixtest.ServerError }
		begun := time.Now().UTC()
		o.add("c", created(begun, call.Inbound), ended(begun, call.Abandoned, ""))
		if _, _, err := o.current().Send(t.Context(), lane("c")); err != nil {
			t.Fatal(err)
		}
		v, err := o.current().Connection(t.Context(), storetest.Mine)
		if err != nil || v.Outbox.Waiting != 1 || v.Outbox.Dead != 0 || v.Outbox.OldestSince == nil || v.Outbox.LastError == "" {
			t.Errorf("%+v %v", v.Outbox, err)
		}
		o.portal.Trouble = nil
		time.Sleep(time.Hour)
		o.drain("c")
		if v, err := o.current().Connection(t.Context(), storetest.Mine); err != nil || v.Outbox != (bitrix24.Outbox{}) {
			t.Errorf("%+v %v", v.Outbox, err)
		}
	})
}

// The address of a webhook that is not given stays, with whom it is shared:
// settings are changed without it.
func TestTheAddressOfAWebhookStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.connect(bitrix24.Settings{WebhookURL: o.portal.WebhookURL(), ApplicationToken: bitrixtest.ApplicationToken})
		v := o.connect(bitrix24.Settings{Line: "74950000000"})
		if v.Kind != "webhook" || v.State != bitrix24.StateConnected || v.Line != "74950000000" || !v.HasEventsToken {
			t.Errorf("%+v", v)
		}
		o.oneMore(t)
		// Of an application nothing is left that could be a webhook's.
		o.connect(application)
		if _, err := o.current().Connect(t.Context(), storetest.Mine, bitrix24.Settings{Line: "1"}); err == nil {
			t.Error("settings without a connection are taken")
		}
	})
}
