package store

import (
	"context"

	"github.com/perezvon/perezvon/internal/directory"
)

var widgets = table{"widgets", "name"}

// Widgets are the account's widgets by name.
func (s *Store) Widgets(ctx context.Context, account string) ([]directory.Widget, error) {
	return list[directory.Widget](ctx, s.reader, widgets, account)
}

// Widget is one widget of the account, or ErrNotFound.
func (s *Store) Widget(ctx context.Context, account, name string) (directory.Widget, error) {
	return get[directory.Widget](ctx, s, widgets, account, name)
}

// PutWidget stores the widget under its name. created tells that there was
// none. What breaks the rules of directory.Widget.Validate is its
// invalid.Error.
func (s *Store) PutWidget(_ context.Context, account string, w directory.Widget) (created bool, err error) {
	if err := w.Validate(); err != nil {
		return false, err
	}
	return put(s, widgets, account, w.Name, w, nil)
}

// DeleteWidget removes the widget, or says ErrNotFound, or a *ReferencedError.
// Its callbacks stay; nothing more is planned for them.
func (s *Store) DeleteWidget(_ context.Context, account, name string) error {
	return removeUnused(s, widgets, account, thing{directory.KindWidget, name})
}
