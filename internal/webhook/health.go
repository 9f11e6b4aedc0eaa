package webhook

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/perezvon/perezvon/internal/store"
)

// PatienceDays is after how many days without a single success a subscription
// is switched off: longer than the tries of one delivery last.
const PatienceDays = 5

// recipient is where a delivery goes now. gone, if not empty, tells why it goes
// nowhere, and nothing of its lane does. subscription is nil for what a packet
// names.
func (s *Service) recipient(ctx context.Context, d *store.Delivery) (subscription *store.Webhook, gone string, err error) {
	id := SubscriptionOf(d.Kind)
	if id == "" {
		closed, err := s.config.Store.LaneClosed(ctx, d.Lane, http.StatusGone)
		if closed {
			gone = "not sent: the receiver has answered 410 before"
		}
		return nil, gone, err
	}
	w, err := s.config.Store.Webhook(ctx, d.Account, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, "not sent: the webhook was removed", nil
	case err != nil:
		return nil, "", err
	case !w.On():
		return nil, "not sent: the webhook was disabled", nil
	}
	d.URL = w.URL
	return &w, "", nil
}

// fares notes what a try tells of the subscription's receiver, and switches the
// subscription off when it is asked to (410, by Standard Webhooks) or has had
// patience for PatienceDays. An answer that judges the body is from a receiver
// that lives, and yet no success: it tells nothing.
func (s *Service) fares(ctx context.Context, w *store.Webhook, a answer) error {
	now := time.Now()
	switch {
	case a.succeeded():
		if w.FailingSince.IsZero() {
			return nil
		}
		return s.config.Store.WebhookFares(ctx, w.Account, w.ID, time.Time{})
	case a.status == http.StatusGone:
		return s.disable(ctx, w, "the receiver has answered 410 Gone")
	case a.refusedBody():
		return nil
	case w.FailingSince.IsZero():
		return s.config.Store.WebhookFares(ctx, w.Account, w.ID, now)
	case now.Sub(w.FailingSince) >= PatienceDays*24*time.Hour:
		return s.disable(ctx, w, "nothing has got through since "+w.FailingSince.UTC().Format("2006-01-02 15:04")+" UTC; last: "+a.reason)
	}
	return nil
}

func (s *Service) disable(ctx context.Context, w *store.Webhook, reason string) error {
	defer s.subscriptions.forget(w.Account)
	s.config.Logger.Warn("webhook disabled", "webhook", w.ID, "host", hostOf(w.URL), "reason", reason)
	return s.config.Store.DisableWebhook(ctx, w.Account, w.ID, reason)
}
