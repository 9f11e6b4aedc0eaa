-- +goose Up
-- Subscriptions to the events of all calls of an account.
CREATE TABLE webhooks (
    id              TEXT PRIMARY KEY,
    account_id      TEXT NOT NULL,
    config          TEXT NOT NULL, -- JSON: address, types of events, directions, description
    enabled         INTEGER NOT NULL, -- 0, 1
    disabled_reason TEXT NOT NULL DEFAULT '', -- why the server switched it off
    failing_since   INTEGER, -- nothing has got through since then
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX webhooks_of_account ON webhooks (account_id, id);
-- A subscription signs with secrets of its own; '': the account's, for what packets name.
ALTER TABLE webhook_secrets ADD COLUMN webhook_id TEXT NOT NULL DEFAULT '';

-- The same may be told again because somebody wants it: copy counts from 0.
ALTER TABLE deliveries ADD COLUMN copy INTEGER NOT NULL DEFAULT 0;
DROP INDEX deliveries_lane;
CREATE UNIQUE INDEX deliveries_lane ON deliveries (call_id, kind, seq, copy);
-- The log of one subscription.
CREATE INDEX deliveries_of_kind ON deliveries (account_id, kind, created_at DESC, id DESC);

-- +goose Down
DROP INDEX deliveries_of_kind;
DELETE FROM deliveries WHERE copy > 0;
DROP INDEX deliveries_lane;
CREATE UNIQUE INDEX deliveries_lane ON deliveries (call_id, kind, seq);
ALTER TABLE deliveries DROP COLUMN copy;
DELETE FROM webhook_secrets WHERE webhook_id <> '';
ALTER TABLE webhook_secrets DROP COLUMN webhook_id;
DROP TABLE webhooks;
