-- +goose Up
-- What backends and the CRM are told. The deliveries of one call and kind are
-- a lane: they are sent in the order of seq, one after the other.
CREATE TABLE deliveries (
    id           TEXT PRIMARY KEY,
    account_id   TEXT NOT NULL,
    call_id      TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    kind         TEXT NOT NULL,
    seq          INTEGER NOT NULL, -- of the event that caused it
    url          TEXT NOT NULL,
    body         TEXT NOT NULL, -- JSON
    state        TEXT NOT NULL, -- waiting, delivered, dead
    tries        INTEGER NOT NULL DEFAULT 0,
    last_status  INTEGER NOT NULL DEFAULT 0, -- HTTP; 0: no answer came
    last_error   TEXT NOT NULL DEFAULT '',
    next_try_at  INTEGER,
    created_at   INTEGER NOT NULL,
    delivered_at INTEGER
) WITHOUT ROWID;
-- One event is told once, whatever goes wrong.
CREATE UNIQUE INDEX deliveries_lane ON deliveries (call_id, kind, seq);
CREATE INDEX deliveries_newest ON deliveries (account_id, created_at DESC, id DESC);
CREATE INDEX deliveries_open ON deliveries (account_id, state, created_at DESC, id DESC) WHERE state <> 'delivered';

-- What deliveries are signed with. The newest is in use; one that was replaced
-- signs beside it until it ends.
CREATE TABLE webhook_secrets (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    secret     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ends_at    INTEGER
) WITHOUT ROWID;
CREATE INDEX webhook_secrets_of_account ON webhook_secrets (account_id, id);

-- +goose Down
DROP TABLE webhook_secrets;
DROP TABLE deliveries;
