package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/jobs"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/webhook"
)

// backends is what the API knows of deliveries: webhooks say what, jobs when.
type backends struct {
	*webhook.Service

	jobs *jobs.Service
}

// RetryDelivery implements httpapi.Backends.
func (b backends) RetryDelivery(ctx context.Context, account, id string) (store.Delivery, error) {
	return b.jobs.RetryDelivery(ctx, account, id)
}

// ReplayDelivery implements httpapi.Backends.
func (b backends) ReplayDelivery(ctx context.Context, account, id string) (store.Delivery, error) {
	return b.Replay(ctx, account, id, b.jobs.Deliver)
}

// ReplaySpan implements httpapi.Backends.
func (b backends) ReplaySpan(ctx context.Context, account, id string, span webhook.Span) (n int, next string, err error) {
	return b.Service.ReplaySpan(ctx, account, id, span, b.jobs.Deliver)
}

// webhooks tell backends of calls, with links to this server.
func (c *serveCmd) webhooks(ctx context.Context, db *store.Store, signer *access.Signer, log *slog.Logger) (*webhook.Service, error) {
	w := webhook.New(webhook.Config{
		Store: db, Client: webhook.NewClient(c.OutboundAllow), Allow: c.OutboundAllow, UserAgent: "Perezvon/" + versionName(), Logger: log,
		LogURL: func(call string) string { return c.URL() + "/calls/" + call },
		RecordingURL: func(call string, expires time.Time) string {
			return c.URL() + "/api/v1/calls/" + call + "/recording?" + signer.Link(call, expires)
		},
	})
	return w, w.EnsureSecret(ctx, directory.DefaultAccount)
}
