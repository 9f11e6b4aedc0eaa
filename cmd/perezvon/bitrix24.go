package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/httpapi"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/webhook"
)

// bitrix24 tells portals of calls, and starts the callbacks that they ask for.
func (c *serveCmd) bitrix24(db *store.Store, calls *dispatch.Service, archive *recording.Archive, log *slog.Logger) *bitrix24.Service {
	// The same rules on where it may connect, and more time: a portal may think
	// about a request for a minute.
	client := webhook.NewClient(c.OutboundAllow)
	client.Timeout = bitrix24.RequestTime
	return bitrix24.New(bitrix24.Config{
		Store: db, Client: client, Allow: c.OutboundAllow, EventsURL: c.URL() + httpapi.Bitrix24EventsPath, Logger: log,
		Recording: func(id string) string { return filepath.Join(archive.Folder(id), "recording.wav") },
		Order: func(ctx context.Context, account string, p callback.Packet, raw []byte, key string) error {
			_, err := calls.Accept(ctx, account, p, raw, key)
			return err
		},
		Refuse: func(ctx context.Context, account string, p callback.Packet, raw []byte, key, reason string) error {
			_, err := calls.Refuse(ctx, account, p, raw, key, reason)
			return err
		},
	})
}

// tellers are everybody who tells others of calls, each in lanes of his own.
type tellers struct {
	hooks *webhook.Service
	crm   *bitrix24.Service
}

// Follow implements jobs.Deliveries.
func (t tellers) Follow(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) ([]store.Lane, error) {
	lanes, err := t.hooks.Follow(ctx, tx, c, e)
	if err != nil {
		return nil, err
	}
	more, err := t.crm.Follow(ctx, tx, c, e)
	return append(lanes, more...), err
}

// Send implements jobs.Deliveries.
func (t tellers) Send(ctx context.Context, l store.Lane) (wait time.Duration, more bool, err error) {
	if l.Kind == bitrix24.Kind {
		return t.crm.Send(ctx, l)
	}
	return t.hooks.Send(ctx, l)
}
