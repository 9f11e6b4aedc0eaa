package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/store"
)

// Overlap is how long a secret that was replaced goes on signing beside the
// new one, so that receivers can change over.
const Overlap = 24 * time.Hour

const (
	secretPrefix = "whsec_"
	secretBytes  = 32 // Standard Webhooks: 24 to 64
)

// NewSecret makes a secret: "whsec_" and 32 random bytes in base64.
func NewSecret() string {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// Sign is one signature of a delivery: "v1," and the base64 of the
// HMAC-SHA256 of "id.timestamp.body" (Standard Webhooks, symmetric signatures).
func Sign(secret, id string, at time.Time, body []byte) (string, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, secretPrefix))
	if err != nil {
		return "", fmt.Errorf("webhook secret: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// sign puts the three headers of Standard Webhooks on a request, with a
// signature by every secret that is valid now.
func (s *Service) sign(ctx context.Context, h http.Header, d store.Delivery) error {
	secrets, err := s.config.Store.WebhookSecrets(ctx, d.Account, SubscriptionOf(d.Kind))
	if err != nil {
		return err
	}
	if len(secrets) == 0 {
		return fmt.Errorf("account %s has no webhook secret for %s", d.Account, d.Kind)
	}
	at := time.Now()
	list := make([]string, len(secrets))
	for i, w := range secrets {
		if list[i], err = Sign(w.Secret, d.ID, at, d.Body); err != nil {
			return err
		}
	}
	h.Set("webhook-id", d.ID)
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", strings.Join(list, " "))
	return nil
}

// EnsureSecret gives an account its first secret, if it has none.
func (s *Service) EnsureSecret(ctx context.Context, account string) error {
	return s.config.Store.FirstWebhookSecret(ctx, account, NewSecret())
}

// Secrets are the secrets that sign now what packets' addresses get: the one in use, then the one it
// replaced, until that ends.
func (s *Service) Secrets(ctx context.Context, account string) ([]store.WebhookSecret, error) {
	return s.config.Store.WebhookSecrets(ctx, account, "")
}

// RotateSecret puts a new secret into use; the old one signs too for Overlap.
func (s *Service) RotateSecret(ctx context.Context, account string) ([]store.WebhookSecret, error) {
	if err := s.config.Store.AddWebhookSecret(ctx, account, "", NewSecret(), Overlap); err != nil {
		return nil, err
	}
	return s.Secrets(ctx, account)
}
