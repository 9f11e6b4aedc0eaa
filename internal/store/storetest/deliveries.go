package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

// deliver lets each event of the store's calls leave one delivery.
func deliver(s *store.Store) {
	s.Journal().OnEvent(func(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) error {
		return tx.AddDelivery(ctx, store.Delivery{
			Lane: store.Lane{Account: c.Account, CallID: c.ID, Kind: "event"}, ID: call.NewID(), Seq: e.Seq,
			URL: "https://example.com/я", Body: []byte(`{"text":"\u0000 ы"}`), CreatedAt: e.At,
		})
	})
}

func exerciseDeliveries(t *testing.T, s *store.Store) {
	ctx := t.Context()
	deliver(s)
	n := Create(t, s, "+79161234567")
	appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Note}, call.Event{CallID: n.CallID, Type: call.Note})
	lane := store.Lane{Account: Mine, CallID: n.CallID, Kind: "event"}
	lanes, err := s.OpenLanes(ctx)
	same(t, []store.Lane{lane}, lanes, err)

	first, err := s.NextDelivery(ctx, lane)
	want := store.Delivery{
		Lane: lane, ID: first.ID, Seq: 1, URL: "https://example.com/я", Body: []byte(`{"text":"\u0000 ы"}`),
		State: store.DeliveryWaiting, NextTryAt: first.CreatedAt, CreatedAt: first.CreatedAt,
	}
	same(t, want, first, err)
	_, err = s.NextDelivery(ctx, store.Lane{Account: Mine, CallID: n.CallID, Kind: "status"})
	fails(t, err, store.ErrNotFound)
	var later time.Time
	leave := func() error {
		later = time.Time{}
		return s.LeaveLane(lane, func(context.Context, *store.Tx) error { return nil }, func(_ context.Context, _ *store.Tx, at time.Time) error {
			later = at
			return nil
		})
	}
	fails(t, leave(), store.ErrMoreWaits)

	// A failed try keeps its place.
	at := time.Now().UTC().Truncate(time.Millisecond)
	want.Tries, want.LastStatus, want.LastError, want.NextTryAt = 1, 503, "503 \uFFFD", at.Add(time.Hour)
	failed := want
	failed.LastError = "503 \x00"
	fails(t, s.SettleDelivery(ctx, failed, false), nil)
	out, err := s.Outbox(ctx, Mine, lane.Kind)
	same(t, store.Outbox{Waiting: 3, Oldest: want.CreatedAt, LastError: want.LastError}, out, err)
	got, err := s.NextDelivery(ctx, lane)
	same(t, want, got, err)

	fails(t, leave(), nil)
	same(t, want.NextTryAt, later, nil)

	// Delivered, it is out of the way.
	want.State, want.Tries, want.LastStatus, want.LastError, want.NextTryAt, want.DeliveredAt = store.DeliveryDone, 2, 200, "", time.Time{}, at
	fails(t, s.SettleDelivery(ctx, want, false), nil)
	second, err := s.NextDelivery(ctx, lane)
	same(t, int64(2), second.Seq, err)

	// Death may take the lane.
	closed, err := s.LaneClosed(ctx, lane, 410)
	same(t, false, closed, err)
	second.State, second.LastStatus, second.LastError, second.NextTryAt = store.DeliveryDead, 410, "410 Gone", time.Time{}
	fails(t, s.SettleDelivery(ctx, second, true), nil)
	out, err = s.Outbox(ctx, Mine, lane.Kind)
	same(t, store.Outbox{Dead: 2, LastError: "410 Gone"}, out, err)
	out, err = s.Outbox(ctx, Theirs, lane.Kind)
	same(t, store.Outbox{}, out, err)
	out, err = s.Outbox(ctx, Mine, "another")
	same(t, store.Outbox{}, out, err)
	_, err = s.NextDelivery(ctx, lane)
	fails(t, err, store.ErrNotFound)
	closed, err = s.LaneClosed(ctx, lane, 410)
	same(t, true, closed, err)
	fails(t, leave(), nil)
	same(t, time.Time{}, later, nil)
	lanes, err = s.OpenLanes(ctx)
	same(t, nil, lanes, err)

	list, next, err := s.Deliveries(ctx, Mine, store.Page{Limit: 2}, store.DeliveryFilter{CallID: n.CallID})
	same(t, 2, len(list), err)
	same(t, "410 Gone", list[0].LastError, nil)
	rest, end, err := s.Deliveries(ctx, Mine, store.Page{Limit: 2, Cursor: next}, store.DeliveryFilter{CallID: n.CallID})
	same(t, []store.Delivery{want}, rest, err)
	same(t, "", end, nil)
	for state, n := range map[string]int{store.DeliveryWaiting: 0, store.DeliveryDone: 1, store.DeliveryDead: 2} {
		list, _, err := s.Deliveries(ctx, Mine, store.Page{}, store.DeliveryFilter{State: state})
		same(t, n, len(list), err)
	}
	theirs, _, err := s.Deliveries(ctx, Theirs, store.Page{}, store.DeliveryFilter{})
	same(t, nil, theirs, err)

	// A retry makes it wait again and reopens the lane.
	none := func(context.Context, *store.Tx, store.Lane) error { return nil }
	_, err = s.RetryDelivery(ctx, Theirs, second.ID, none)
	fails(t, err, store.ErrNotFound)
	refused := errors.New("no job")
	_, err = s.RetryDelivery(ctx, Mine, second.ID, func(context.Context, *store.Tx, store.Lane) error { return refused })
	fails(t, err, refused)
	again, err := s.RetryDelivery(ctx, Mine, second.ID, none)
	same(t, store.DeliveryWaiting, again.State, err)
	got, err = s.NextDelivery(ctx, lane)
	same(t, again, got, err)
	closed, err = s.LaneClosed(ctx, lane, 410)
	same(t, false, closed, err)
}

func exerciseFirstEvent(t *testing.T, s *store.Store) {
	n := NewCallback("+79161234567")
	n.Packet.LogURL = "https://example.com/log"
	var got string
	s.Journal().OnEvent(func(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) error {
		p, err := tx.Packet(ctx, c.CallbackID)
		timeline, err2 := tx.Timeline(ctx, c.ID)
		same(t, 1, len(timeline), err2)
		got = string(e.Type) + " " + c.Client + " " + p.LogURL
		return err
	})
	if _, err := s.CreateCallback(n); err != nil {
		t.Fatal(err)
	}
	same(t, "call.created +79161234567 https://example.com/log", got, nil)
}

func exerciseSecrets(t *testing.T, s *store.Store) {
	ctx := t.Context()
	secrets := func() (list []string) {
		all, err := s.WebhookSecrets(ctx, Mine, "")
		fails(t, err, nil)
		for i, w := range all {
			list = append(list, w.Secret)
			if w.EndsAt.IsZero() != (i == 0) {
				t.Errorf("%d ends at %v", i, w.EndsAt)
			}
		}
		return list
	}
	fails(t, s.FirstWebhookSecret(ctx, Mine, "a"), nil)
	fails(t, s.FirstWebhookSecret(ctx, Mine, "b"), nil)
	same(t, []string{"a"}, secrets(), nil)
	fails(t, s.AddWebhookSecret(ctx, Mine, "", "c", time.Hour), nil)
	same(t, []string{"c", "a"}, secrets(), nil)
	fails(t, s.AddWebhookSecret(ctx, Mine, "", "d", time.Hour), nil)
	same(t, []string{"d", "c"}, secrets(), nil)
	fails(t, s.AddWebhookSecret(ctx, Mine, "", "e", 0), nil)
	same(t, []string{"e"}, secrets(), nil)
	theirs, err := s.WebhookSecrets(ctx, Theirs, "")
	same(t, nil, theirs, err)
}
