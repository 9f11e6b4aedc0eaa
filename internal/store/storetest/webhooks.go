package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

func exerciseWebhooks(t *testing.T, s *store.Store) {
	ctx := t.Context()
	on, off := true, false
	d := directory.Webhook{URL: "https://example.com/я", Events: []string{"call.ended", "leg.*"}, Directions: []call.Direction{call.Inbound}, Description: "CRM 'x'"}
	w, err := s.CreateWebhook(ctx, Mine, d, "first")
	want := d
	want.Enabled = &on
	same(t, want, w.Webhook, err)
	got, err := s.Webhook(ctx, Mine, w.ID)
	same(t, w, got, err)
	other, err := s.CreateWebhook(ctx, Theirs, d, "theirs")
	fails(t, err, nil)
	_, err = s.Webhook(ctx, Mine, other.ID)
	fails(t, err, store.ErrNotFound)
	all, err := s.Webhooks(ctx, Mine)
	same(t, []store.Webhook{w}, all, err)

	// It has secrets of its own.
	secrets := func() (list []string) {
		all, err := s.WebhookSecrets(ctx, Mine, w.ID)
		fails(t, err, nil)
		for _, w := range all {
			list = append(list, w.Secret)
		}
		return list
	}
	fails(t, s.FirstWebhookSecret(ctx, Mine, "the account's"), nil)
	fails(t, s.AddWebhookSecret(ctx, Mine, w.ID, "second", time.Hour), nil)
	same(t, []string{"second", "first"}, secrets(), nil)
	account, err := s.WebhookSecrets(ctx, Mine, "")
	same(t, 1, len(account), err)
	same(t, "the account's", account[0].Secret, nil)
	fails(t, s.AddWebhookSecret(ctx, Mine, other.ID, "x", time.Hour), store.ErrNotFound)

	// How it fares.
	at := time.Now().UTC().Truncate(time.Millisecond)
	fails(t, s.WebhookFares(ctx, Mine, w.ID, at), nil)
	fails(t, s.WebhookFares(ctx, Mine, w.ID, at.Add(time.Hour)), nil)
	got, err = s.Webhook(ctx, Mine, w.ID)
	same(t, at, got.FailingSince, err)
	fails(t, s.WebhookFares(ctx, Mine, w.ID, time.Time{}), nil)
	got, err = s.Webhook(ctx, Mine, w.ID)
	same(t, time.Time{}, got.FailingSince, err)

	// What waits follows it to its new address, and dies with it.
	n := Create(t, s, "+79161234567")
	lane := store.Lane{Account: Mine, CallID: n.CallID, Kind: w.Kind()}
	tell := func(seq int64) store.Delivery {
		return store.Delivery{Lane: lane, ID: call.NewID(), Seq: seq, URL: w.URL, Body: []byte("{}"), CreatedAt: time.Now()}
	}
	none := func(context.Context, *store.Tx, store.Lane) error { return nil }
	stored, err := s.ReplayDeliveries(ctx, []store.Delivery{tell(1), tell(2)}, false, none)
	same(t, 2, stored, err)
	d.URL = "https://example.org/"
	got, err = s.PutWebhook(ctx, Mine, w.ID, d)
	same(t, want.Events, got.Events, err)
	first, err := s.NextDelivery(ctx, lane)
	same(t, d.URL, first.URL, err)
	fails(t, s.WebhookFares(ctx, Mine, w.ID, at), nil)
	fails(t, s.DisableWebhook(ctx, Mine, w.ID, "no answer"), nil)
	fails(t, s.DisableWebhook(ctx, Mine, w.ID, "again"), nil)
	got, err = s.Webhook(ctx, Mine, w.ID)
	same(t, "no answer", got.DisabledReason, err)
	same(t, false, got.On(), nil)
	_, err = s.NextDelivery(ctx, lane)
	fails(t, err, store.ErrNotFound)
	d.Enabled = &off
	got, err = s.PutWebhook(ctx, Mine, w.ID, d)
	same(t, "no answer", got.DisabledReason, err)
	d.Enabled = &on
	got, err = s.PutWebhook(ctx, Mine, w.ID, d)
	same(t, "", got.DisabledReason, err)
	same(t, time.Time{}, got.FailingSince, nil)
	_, err = s.PutWebhook(ctx, Theirs, w.ID, d)
	fails(t, err, store.ErrNotFound)

	_, err = s.ReplayDeliveries(ctx, []store.Delivery{tell(3)}, false, none)
	fails(t, err, nil)
	fails(t, s.DeleteWebhook(ctx, Theirs, w.ID), store.ErrNotFound)
	fails(t, s.DeleteWebhook(ctx, Mine, w.ID), nil)
	fails(t, s.DeleteWebhook(ctx, Mine, w.ID), store.ErrNotFound)
	same(t, nil, secrets(), nil)
	list, _, err := s.Deliveries(ctx, Mine, store.Page{}, store.DeliveryFilter{Kind: w.Kind(), State: store.DeliveryDead})
	same(t, 3, len(list), err)
	_, err = s.PutWebhook(ctx, Mine, w.ID, d)
	fails(t, err, store.ErrNotFound)

	for range store.MaxWebhooks {
		_, err := s.CreateWebhook(ctx, Mine, d, "x")
		fails(t, err, nil)
	}
	_, err = s.CreateWebhook(ctx, Mine, d, "x")
	fails(t, err, store.ErrTooManyWebhooks)
}

func exerciseReplays(t *testing.T, s *store.Store) {
	ctx := t.Context()
	n := Create(t, s, "+79161234567")
	lane := store.Lane{Account: Mine, CallID: n.CallID, Kind: "webhook.x"}
	tell := func(seq int64) store.Delivery {
		return store.Delivery{Lane: lane, ID: call.NewID(), Seq: seq, URL: fmt.Sprintf("https://example.com/%d?key=я", seq), Body: []byte(`{}`), CreatedAt: time.Now()}
	}
	asked := 0
	ask := func(_ context.Context, _ *store.Tx, l store.Lane) error {
		same(t, lane, l, nil)
		asked++
		return nil
	}
	replay := func(missing bool, seqs ...int64) int {
		var list []store.Delivery
		for _, seq := range seqs {
			list = append(list, tell(seq))
		}
		n, err := s.ReplayDeliveries(ctx, list, missing, ask)
		fails(t, err, nil)
		return n
	}
	same(t, 2, replay(true, 1, 2), nil)
	same(t, 0, replay(true, 1, 2), nil) // they wait
	same(t, 1, asked, nil)
	same(t, 1, replay(false, 1), nil)
	// Both of the first event come before the second.
	var order []string
	for range 3 {
		d, err := s.NextDelivery(ctx, lane)
		fails(t, err, nil)
		order = append(order, fmt.Sprintf("%d.%d", d.Seq, d.Copy))
		d.State, d.NextTryAt = store.DeliveryDead, time.Time{}
		fails(t, s.SettleDelivery(ctx, d, false), nil)
	}
	same(t, []string{"1.0", "1.1", "2.0"}, order, nil)
	same(t, 2, replay(true, 1, 2), nil)

	list, _, err := s.Deliveries(ctx, Mine, store.Page{}, store.DeliveryFilter{Target: "https://example.com/2"})
	same(t, 2, len(list), err)
	list, _, err = s.Deliveries(ctx, Mine, store.Page{}, store.DeliveryFilter{Target: "https://example.com"})
	same(t, 0, len(list), err)
	one, err := s.Delivery(ctx, Mine, tellID(t, s))
	same(t, lane, one.Lane, err)
	_, err = s.Delivery(ctx, Theirs, one.ID)
	fails(t, err, store.ErrNotFound)
}

// tellID is the id of the newest delivery.
func tellID(t *testing.T, s *store.Store) string {
	t.Helper()
	list, _, err := s.Deliveries(t.Context(), Mine, store.Page{Limit: 1}, store.DeliveryFilter{})
	fails(t, err, nil)
	return list[0].ID
}

func exerciseCallsWithin(t *testing.T, s *store.Store) {
	ctx := t.Context()
	base := time.Now().UTC().Truncate(time.Millisecond).Add(-100 * time.Hour)
	var ids []string
	for i := range 5 { // one an hour, of a minute
		id, at := call.NewID(), base.Add(time.Duration(i)*time.Hour)
		appendAll(t, s,
			call.Event{CallID: id, At: at, Type: call.Created, Account: Mine, Direction: call.Inbound, Number: "+79161234567"},
			call.Event{CallID: id, At: at.Add(time.Minute), Type: call.Ended, Status: &call.Completed})
		ids = append(ids, id)
	}
	got, next, err := s.CallsWithin(ctx, Mine, base.Add(150*time.Minute), base.Add(4*time.Hour), store.Page{})
	same(t, ids[1:4], got, err) // the second may have had its recording then
	same(t, "", next, nil)
	got, next, err = s.CallsWithin(ctx, Mine, base, base.Add(10*time.Hour), store.Page{Limit: 3})
	same(t, ids[:3], got, err)
	got, next, err = s.CallsWithin(ctx, Mine, base, base.Add(10*time.Hour), store.Page{Limit: 3, Cursor: next})
	same(t, ids[3:], got, err)
	same(t, "", next, nil)
	got, _, err = s.CallsWithin(ctx, Theirs, base, base.Add(10*time.Hour), store.Page{})
	same(t, nil, got, err)
	_, _, err = s.CallsWithin(ctx, Mine, base, base, store.Page{Cursor: "?"})
	if _, bad := err.(invalid.Error); !bad { //nolint:errorlint // it is nothing else
		t.Error(err)
	}
}
