package bitrix24_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// A click by somebody who is no operator, and one that makes no order, leave
// nothing open in the portal: the call that it has registered is finished there
// as one that failed, with the reason, once, also if the portal is down at
// first.
func TestAClickThatCallsNobodyIsFinishedInThePortal(t *testing.T) {
	for name, tt := range map[string]struct {
		user   int64
		wrong  error
		reason string
	}{
		"no operator": {13, nil, "no operator here is that user of Bitrix24"},
		"no order":    {annaID, invalid.Error{{Path: "client", Message: "is not a number"}}, "client: is not a number"},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, o *office) {
				o.connect(bitrix24.Settings{WebhookURL: o.portal.WebhookURL(), ApplicationToken: bitrixtest.ApplicationToken})
				o.wrong = tt.wrong
				clicked, form := o.portal.Click(tt.user, client)
				for range 2 { // the portal may repeat it
					err := o.current().Event(t.Context(), form)
					if tt.wrong == nil && !errors.Is(err, bitrix24.ErrNobody) || tt.wrong != nil && !errors.As(err, new(invalid.Error)) {
						t.Fatal(err)
					}
				}
				if err := o.store.Journal().Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				calls, _, err := o.store.Calls(t.Context(), storetest.Mine, store.Page{Limit: 10}, store.CallFilter{})
				if err != nil || len(calls) != 1 || calls[0].Status != call.NotAllowed || calls[0].Client != client {
					t.Fatalf("%+v %v", calls, err)
				}
				failed := false
				o.portal.Trouble = func(_ int, method string) *bitrixtest.Trouble {
					if failed || method != "telephony.externalCall.finish" {
						return nil
					}
					failed = true
					return &bitrixtest.ActsAndFails
				}
				o.drain(calls[0].ID)
				c := o.one()
				if c.ID != clicked || c.Status != "403" || c.DurationS != 0 || c.Responsible != tt.user || len(c.Cards) != 0 ||
					!strings.HasPrefix(c.Reason, call.NotAllowed.Slug+": ") || !strings.Contains(c.Reason, tt.reason) || len(o.portal.Calls()) != 1 || !failed {
					t.Errorf("%+v", c)
				}
			})
		})
	}
}
