package storetest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

// exerciseIntegrations: what is kept of an account's connections, and how far a
// CRM has been told of a call.
func exerciseIntegrations(t *testing.T, s *store.Store) {
	ctx := t.Context()
	_, err := s.Integration(ctx, Mine, "crm")
	fails(t, err, store.ErrNotFound)
	fails(t, s.DeleteIntegration(ctx, Mine, "crm"), store.ErrNotFound)
	for _, config := range []string{`{"a":1}`, `{"a":2}`} {
		if err := s.PutIntegration(ctx, Mine, "crm", json.RawMessage(config)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutIntegration(ctx, Theirs, "crm", json.RawMessage(`{"b":1}`)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Integration(ctx, Mine, "crm")
	same(t, `{"a":2}`, string(got), err)
	all, err := s.Integrations(ctx, "crm")
	same(t, map[string]json.RawMessage{Mine: json.RawMessage(`{"a":2}`), Theirs: json.RawMessage(`{"b":1}`)}, all, err)

	var has []bool
	var received string
	s.Journal().OnEvent(func(ctx context.Context, tx *store.Tx, c call.Call, _ call.Event) error {
		for _, name := range []string{"crm", "other"} {
			yes, err := tx.HasIntegration(ctx, c.Account, name)
			if err != nil {
				return err
			}
			has = append(has, yes)
		}
		b, err := tx.Received(ctx, c.CallbackID)
		received = string(b)
		return err
	})
	n := Create(t, s, "+79161234567")
	same(t, []bool{true, false}, has, nil)
	same(t, string(n.Received), received, nil)

	_, err = s.Bitrix24Progress(ctx, n.CallID)
	fails(t, err, store.ErrNotFound)
	for _, progress := range []string{`{"call_id":"1"}`, `{"call_id":"2"}`} {
		if err := s.SaveBitrix24Progress(ctx, n.CallID, json.RawMessage(progress)); err != nil {
			t.Fatal(err)
		}
	}
	got, err = s.Bitrix24Progress(ctx, n.CallID)
	same(t, `{"call_id":"2"}`, string(got), err)
	if err := s.DeleteIntegration(ctx, Mine, "crm"); err != nil {
		t.Fatal(err)
	}
	all, err = s.Integrations(ctx, "crm")
	same(t, 1, len(all), err)
}
