package store

import (
	"context"

	"github.com/perezvon/perezvon/internal/acd"
)

var places = table{"queue_places", "id"}

// Places are those that are kept in the account's queues of a node.
func (s *Store) Places(ctx context.Context, account, node string) ([]acd.Kept, error) {
	all, err := list[acd.Kept](ctx, s.reader, places, account)
	var own []acd.Kept
	for _, k := range all {
		if k.Node == node {
			own = append(own, k)
		}
	}
	return own, err
}

// KeepPlace stores a place until GiveUpPlace.
func (s *Store) KeepPlace(_ context.Context, k acd.Kept) error {
	_, err := put(s, places, k.Account, k.ID, k, nil)
	return err
}

// GiveUpPlace removes a place, or says ErrNotFound.
func (s *Store) GiveUpPlace(_ context.Context, account, id string) error {
	return remove(s, places, account, id, nil)
}
