package store

import (
	"context"

	"github.com/perezvon/perezvon/internal/directory"
)

var (
	queues = table{"queues", "name"}
	routes = table{"routes", "name"}
)

// Queues are the account's queues by name.
func (s *Store) Queues(ctx context.Context, account string) ([]directory.Queue, error) {
	return list[directory.Queue](ctx, s.reader, queues, account)
}

// Queue is one queue of the account, or ErrNotFound.
func (s *Store) Queue(ctx context.Context, account, name string) (directory.Queue, error) {
	return get[directory.Queue](ctx, s, queues, account, name)
}

// PutQueue stores the queue under its name. created tells that there was none.
// What breaks the rules of directory.Queue.Validate, and what it names that
// does not exist, is an invalid.Error.
func (s *Store) PutQueue(_ context.Context, account string, q directory.Queue) (created bool, err error) {
	if err := q.Validate(); err != nil {
		return false, err
	}
	return putReferring(s, queues, account, thing{directory.KindQueue, q.Name}, q)
}

// DeleteQueue removes the queue, or says ErrNotFound, or a *ReferencedError.
// Calls that wait in it stay in it.
func (s *Store) DeleteQueue(_ context.Context, account, name string) error {
	return removeUnused(s, queues, account, thing{directory.KindQueue, name})
}

// Routes are the account's routes by name.
func (s *Store) Routes(ctx context.Context, account string) ([]directory.Route, error) {
	return list[directory.Route](ctx, s.reader, routes, account)
}

// Route is one route of the account, or ErrNotFound.
func (s *Store) Route(ctx context.Context, account, name string) (directory.Route, error) {
	return get[directory.Route](ctx, s, routes, account, name)
}

// PutRoute stores the route under its name. created tells that there was none.
// What breaks the rules of directory.Route.Validate, and what it names that
// does not exist, is an invalid.Error.
func (s *Store) PutRoute(_ context.Context, account string, r directory.Route) (created bool, err error) {
	if err := r.Validate(); err != nil {
		return false, err
	}
	return putReferring(s, routes, account, thing{directory.KindRoute, r.Name}, r)
}

// DeleteRoute removes the route, or says ErrNotFound, or a *ReferencedError.
func (s *Store) DeleteRoute(_ context.Context, account, name string) error {
	return removeUnused(s, routes, account, thing{directory.KindRoute, name})
}
