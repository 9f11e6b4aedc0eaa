package store

import (
	"context"

	"github.com/perezvon/perezvon/internal/directory"
)

var widgets = table{"widgets", "name"}

// Widgets are the account's widgets by name.
func (s *Store) Widgets(ctx context.Context, account string) ([]directory.Widget, error) {
	return list[directory.Widget](ctx, s, widgets, account)
}

// Widget is one widget of the account, or ErrNotFound.
func (s *Store) Widget(ctx context.Context, account, name string) (directory.Widget, error) {
	return get[directory.Widget](ctx, s, widgets, account, name)
}

// PutWidget stores the widget under its name. created tells that there was
// none. What breaks the rules of directory.Widget.Validate is its
// invalid.Error.
func (s *Store) PutWidget(ctx context.Context, account string, w directory.Widget) (created bool, err error) {
	if err := w.Validate(); err != nil {
		return false, err
	}
	return put(ctx, s, widgets, account, w.Name, w)
}

// DeleteWidget removes the widget, or says ErrNotFound. Its callbacks stay;
// nothing more is planned for them.
func (s *Store) DeleteWidget(ctx context.Context, account, name string) error {
	return remove(ctx, s, widgets, account, name)
}
