package webhook

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store"
)

// freshFor is how long the account's subscriptions are known without looking:
// what another process changes is seen that late. What this one changes is
// seen by the next event.
const freshFor = time.Second

// KindSubscription is what a delivery is called whose Kind belongs to a
// subscription.
const KindSubscription = "webhook"

// SubscriptionOf is the id of the subscription that deliveries of that kind are
// for, or empty: they are for what a packet names, or for others.
func SubscriptionOf(kind string) string {
	if id, ok := strings.CutPrefix(kind, store.WebhookKinds); ok {
		return id
	}
	return ""
}

// subscriptions are those that are switched on, by account. The zero value is
// ready.
type subscriptions struct {
	mu       sync.Mutex
	accounts map[string]accountSubscriptions
}

type accountSubscriptions struct {
	list []store.Webhook
	at   time.Time // when they were read
}

// of gives the account's, from read if they are not known or known for too long.
// It is held while read reads, so that forget, after a change, is not undone by
// what was read before the change.
func (s *subscriptions) of(account string, read func() ([]store.Webhook, error)) ([]store.Webhook, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.accounts[account]; ok && time.Since(a.at) < freshFor {
		return a.list, nil
	}
	all, err := read()
	if err != nil {
		return nil, err
	}
	var on []store.Webhook
	for _, w := range all {
		if w.On() {
			on = append(on, w)
		}
	}
	if s.accounts == nil {
		s.accounts = make(map[string]accountSubscriptions)
	}
	s.accounts[account] = accountSubscriptions{on, time.Now()}
	return on, nil
}

// forget has the account's read anew by the next event.
func (s *subscriptions) forget(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.accounts, account)
}

// followSubscriptions stores what the account's subscriptions are told of an
// event, in its transaction.
func (s *Service) followSubscriptions(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) (lanes []store.Lane, err error) {
	list, err := s.subscriptions.of(c.Account, func() ([]store.Webhook, error) { return s.config.Store.Webhooks(ctx, c.Account) })
	if err != nil {
		return nil, err
	}
	var body []byte // the same for all
	for _, w := range list {
		if !w.Wants(c.Direction, e.Type) {
			continue
		}
		if body == nil {
			if body, err = encode(s.notice(c, e)); err != nil {
				return nil, err
			}
		}
		d := subscriptionDelivery(w, e, body)
		if err := tx.AddDelivery(ctx, d); err != nil {
			return nil, err
		}
		lanes = append(lanes, d.Lane)
	}
	return lanes, nil
}

func subscriptionDelivery(w store.Webhook, e call.Event, body []byte) store.Delivery {
	return store.Delivery{
		Lane: store.Lane{Account: w.Account, CallID: e.CallID, Kind: w.Kind()}, ID: call.NewID(), Seq: e.Seq,
		URL: w.URL, Body: body, CreatedAt: time.Now(),
	}
}

// Subscriptions are the account's, oldest first.
func (s *Service) Subscriptions(ctx context.Context, account string) ([]store.Webhook, error) {
	return s.config.Store.Webhooks(ctx, account)
}

// Subscription is one of them, or store.ErrNotFound.
func (s *Service) Subscription(ctx context.Context, account, id string) (store.Webhook, error) {
	return s.config.Store.Webhook(ctx, account, id)
}

// Subscribe adds a subscription. Its secret is not shown again. The error is an
// invalid.Error, store.ErrTooManyWebhooks, or a failure.
func (s *Service) Subscribe(ctx context.Context, account string, d directory.Webhook) (w store.Webhook, secret string, err error) {
	if err := d.Validate(s.config.Allow...); err != nil {
		return w, "", err
	}
	defer s.subscriptions.forget(account)
	secret = NewSecret()
	w, err = s.config.Store.CreateWebhook(ctx, account, d, secret)
	return w, secret, err
}

// ChangeSubscription replaces what was set: store.Store.PutWebhook. The error
// may be an invalid.Error.
func (s *Service) ChangeSubscription(ctx context.Context, account, id string, d directory.Webhook) (store.Webhook, error) {
	if err := d.Validate(s.config.Allow...); err != nil {
		return store.Webhook{}, err
	}
	defer s.subscriptions.forget(account)
	return s.config.Store.PutWebhook(ctx, account, id, d)
}

// Unsubscribe removes a subscription: store.Store.DeleteWebhook.
func (s *Service) Unsubscribe(ctx context.Context, account, id string) error {
	defer s.subscriptions.forget(account)
	return s.config.Store.DeleteWebhook(ctx, account, id)
}

// RotateSubscription puts a new secret into use for a subscription and gives
// it, for the last time. The old one signs too for Overlap.
func (s *Service) RotateSubscription(ctx context.Context, account, id string) (secret string, err error) {
	secret = NewSecret()
	return secret, s.config.Store.AddWebhookSecret(ctx, account, id, secret, Overlap)
}
