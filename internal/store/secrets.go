package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// WebhookSecret is what deliveries are signed with.
type WebhookSecret struct {
	Secret    string // whsec_…
	CreatedAt time.Time
	EndsAt    time.Time // zero: in use until it is replaced
}

// WebhookSecrets are the secrets that sign now what the account's subscription
// is sent, or, if webhook is empty, what the account's packets name: the one in
// use first, then the one it replaced, until that ends.
func (s *Store) WebhookSecrets(ctx context.Context, account, webhook string) ([]WebhookSecret, error) {
	rows, err := s.reader.QueryContext(ctx, `
		SELECT secret, created_at, ends_at FROM webhook_secrets
		WHERE account_id = $1 AND webhook_id = $2 AND (ends_at IS NULL OR ends_at > $3) ORDER BY id DESC`, account, webhook, time.Now().UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []WebhookSecret
	for rows.Next() {
		var (
			w       WebhookSecret
			created int64
			ends    sql.NullInt64
		)
		if err := rows.Scan(&w.Secret, &created, &ends); err != nil {
			return nil, err
		}
		w.CreatedAt, w.EndsAt = fromMS(created), fromNullMS(ends)
		list = append(list, w)
	}
	return list, rows.Err()
}

// AddWebhookSecret puts a secret into use: the subscription's, or the account's
// if webhook is empty. The one it replaces signs beside it for as long as
// overlap, and those before that one no more. ErrNotFound: there is no such
// subscription.
func (s *Store) AddWebhookSecret(_ context.Context, account, webhook, secret string, overlap time.Duration) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		if webhook != "" {
			if _, err := oneWebhook(queryWebhooks(ctx, tx, `WHERE account_id = $1 AND id = $2`, account, text(webhook))); err != nil {
				return err
			}
		}
		return addWebhookSecret(ctx, tx, account, webhook, secret, overlap)
	}, nil)
}

// FirstWebhookSecret is the same, for an account that has none yet; one that
// has keeps what it has.
func (s *Store) FirstWebhookSecret(_ context.Context, account, secret string) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		var has bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM webhook_secrets WHERE account_id = $1 AND webhook_id = '')`, account).Scan(&has)
		if err != nil || has {
			return err
		}
		return addWebhookSecret(ctx, tx, account, "", secret, 0)
	}, nil)
}

func addWebhookSecret(ctx context.Context, tx *Tx, account, webhook, secret string, overlap time.Duration) error {
	now := time.Now()
	for _, step := range []struct {
		query string
		args  []any
	}{
		{`DELETE FROM webhook_secrets WHERE account_id = $1 AND webhook_id = $2 AND ends_at IS NOT NULL`, []any{account, webhook}},
		{`UPDATE webhook_secrets SET ends_at = $3 WHERE account_id = $1 AND webhook_id = $2`, []any{account, webhook, now.Add(overlap).UnixMilli()}},
		{
			`INSERT INTO webhook_secrets (id, account_id, webhook_id, secret, created_at) VALUES ($1, $2, $3, $4, $5)`,
			[]any{call.NewID(), account, webhook, secret, now.UnixMilli()},
		},
	} {
		if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
			return err
		}
	}
	return nil
}
