package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
)

// MaxWebhooks is how many subscriptions an account may have: each costs every
// event something.
const MaxWebhooks = 50

// ErrTooManyWebhooks says that the account has MaxWebhooks.
var ErrTooManyWebhooks = fmt.Errorf("there are %d webhooks, and no more are possible", MaxWebhooks)

// Webhook is a subscription and how it fares.
type Webhook struct {
	directory.Webhook // Enabled is never nil

	ID      string // call.NewID
	Account string
	// DisabledReason is why the server switched it off; empty if it did not.
	DisabledReason string
	// FailingSince is when the first try failed of those after which none has
	// got through; zero if it fares well.
	FailingSince         time.Time
	CreatedAt, UpdatedAt time.Time
}

// Kind is that of the subscription's deliveries: those of one call and
// subscription are a lane.
func (w Webhook) Kind() string { return WebhookKinds + w.ID }

// WebhookKinds is what the kinds of subscriptions' deliveries begin with.
const WebhookKinds = "webhook."

// What becomes of deliveries that wait for a subscription that ends.
const (
	webhookRemoved  = "not sent: the webhook was removed"
	webhookDisabled = "not sent: the webhook was disabled"
)

// Webhooks are the account's subscriptions, oldest first.
func (s *Store) Webhooks(ctx context.Context, account string) ([]Webhook, error) {
	return queryWebhooks(ctx, s.reader, `WHERE account_id = $1 ORDER BY id`, account)
}

// Webhook is one of the account's subscriptions, or ErrNotFound.
func (s *Store) Webhook(ctx context.Context, account, id string) (Webhook, error) {
	return oneWebhook(queryWebhooks(ctx, s.reader, `WHERE account_id = $1 AND id = $2`, account, text(id)))
}

// CreateWebhook stores a subscription with its first secret, or says
// ErrTooManyWebhooks. The caller has validated it.
func (s *Store) CreateWebhook(_ context.Context, account string, d directory.Webhook, secret string) (Webhook, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	w := Webhook{Webhook: d, ID: call.NewID(), Account: account, CreatedAt: now, UpdatedAt: now}
	config, on := webhookRow(&w)
	return w, s.journal.write(func(ctx context.Context, tx *Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM webhooks WHERE account_id = $1`, account).Scan(&n); err != nil {
			return err
		}
		if n >= MaxWebhooks {
			return ErrTooManyWebhooks
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO webhooks (id, account_id, config, enabled, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)`,
			w.ID, account, config, on, now.UnixMilli())
		if err != nil {
			return err
		}
		return addWebhookSecret(ctx, tx, account, w.ID, secret, 0)
	}, nil)
}

// PutWebhook changes a subscription, or says ErrNotFound. What waits for it
// goes to its new address, and is given up if it is switched off. If it is on,
// that it failed before is forgotten. The caller has validated it.
func (s *Store) PutWebhook(_ context.Context, account, id string, d directory.Webhook) (w Webhook, err error) {
	changed := Webhook{Webhook: d}
	config, on := webhookRow(&changed)
	err = s.journal.write(func(ctx context.Context, tx *Tx) error {
		// Switched off again by hand, it keeps the server's reason.
		result, err := tx.ExecContext(ctx, `
			UPDATE webhooks SET config = $1, enabled = $2, updated_at = $3,
				failing_since = CASE WHEN $2 = 1 THEN NULL ELSE failing_since END,
				disabled_reason = CASE WHEN $2 = 1 THEN '' ELSE disabled_reason END
			WHERE account_id = $4 AND id = $5`, config, on, time.Now().UnixMilli(), account, text(id))
		if err := orNotFound(result, err); err != nil {
			return err
		}
		if on == 0 {
			err = giveUp(ctx, tx, account, id, webhookDisabled)
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE deliveries SET url = $1 WHERE `+waitingFor, text(d.URL), account, WebhookKinds+text(id))
		}
		if err != nil {
			return err
		}
		w, err = oneWebhook(queryWebhooks(ctx, tx, `WHERE account_id = $1 AND id = $2`, account, text(id)))
		return err
	}, nil)
	return w, err
}

// DeleteWebhook removes a subscription and its secrets, or says ErrNotFound.
// What waits for it is given up; the log of what it was sent stays.
func (s *Store) DeleteWebhook(_ context.Context, account, id string) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM webhooks WHERE account_id = $1 AND id = $2`, account, text(id))
		if err := orNotFound(result, err); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM webhook_secrets WHERE account_id = $1 AND webhook_id = $2`, account, text(id)); err != nil {
			return err
		}
		return giveUp(ctx, tx, account, id, webhookRemoved)
	}, nil)
}

// DisableWebhook switches a subscription off, if it is on, and tells why.
// What waits for it is given up.
func (s *Store) DisableWebhook(_ context.Context, account, id, reason string) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE webhooks SET enabled = 0, disabled_reason = $1, updated_at = $2 WHERE account_id = $3 AND id = $4 AND enabled = 1`,
			text(reason), time.Now().UnixMilli(), account, id)
		if err != nil {
			return err
		}
		return giveUp(ctx, tx, account, id, webhookDisabled)
	}, nil)
}

// WebhookFares notes that a subscription fails since that moment, if it is not
// noted already, or with the zero time that it fares well.
func (s *Store) WebhookFares(_ context.Context, account, id string, failingSince time.Time) error {
	query, args := `UPDATE webhooks SET failing_since = NULL WHERE account_id = $1 AND id = $2`, []any{account, id}
	if !failingSince.IsZero() {
		query = `UPDATE webhooks SET failing_since = $3 WHERE account_id = $1 AND id = $2 AND failing_since IS NULL`
		args = append(args, failingSince.UnixMilli())
	}
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}, nil)
}

// waitingFor are the deliveries of an account and kind ($2, $3) that wait. The
// second condition on the state chooses the index of what is open.
const waitingFor = `account_id = $2 AND kind = $3 AND state = 'waiting' AND state <> 'delivered'`

func giveUp(ctx context.Context, tx *Tx, account, id, reason string) error {
	_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'dead', last_error = $1, next_try_at = NULL WHERE `+waitingFor,
		reason, account, WebhookKinds+text(id))
	return err
}

// webhookRow is what the columns config and enabled hold. It lets Enabled be
// set.
func webhookRow(w *Webhook) (config string, enabled int) {
	on := w.On()
	w.Enabled = nil
	b, err := json.Marshal(w.Webhook)
	if err != nil {
		panic(err) // strings and lists of strings
	}
	if w.Enabled = &on; on {
		enabled = 1
	}
	return string(b), enabled
}

func queryWebhooks(ctx context.Context, db querier, condition string, args ...any) ([]Webhook, error) {
	rows, err := db.QueryContext(ctx, `
		SELECT id, account_id, config, enabled, disabled_reason, failing_since, created_at, updated_at FROM webhooks `+condition, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Webhook
	for rows.Next() {
		var (
			w                Webhook
			config           string
			enabled          int
			created, updated int64
			failing          sql.NullInt64
		)
		if err := rows.Scan(&w.ID, &w.Account, &config, &enabled, &w.DisabledReason, &failing, &created, &updated); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(config), &w.Webhook); err != nil {
			return nil, fmt.Errorf("config in webhooks: %w", err)
		}
		on := enabled == 1
		w.Enabled, w.FailingSince, w.CreatedAt, w.UpdatedAt = &on, fromNullMS(failing), fromMS(created), fromMS(updated)
		list = append(list, w)
	}
	return list, rows.Err()
}

func oneWebhook(list []Webhook, err error) (Webhook, error) {
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Webhook{}, err
	}
	return list[0], nil
}
