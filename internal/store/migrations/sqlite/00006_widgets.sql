-- +goose Up
-- config is directory.Widget as JSON. turn counts the requests that began with
-- the next manager (round_robin).
CREATE TABLE widgets (
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    config     TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    turn       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, name)
) WITHOUT ROWID;

-- refused: ended at once as not allowed (711), so it counts for no rate.
ALTER TABLE callbacks ADD COLUMN client_ip TEXT NOT NULL DEFAULT '';
ALTER TABLE callbacks ADD COLUMN refused BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX callbacks_of_client ON callbacks (account_id, widget, client, created_at) WHERE widget <> '';
CREATE INDEX callbacks_of_address ON callbacks (account_id, widget, client_ip, created_at) WHERE client_ip <> '';

-- joined: the answer was an open callback for the same client.
ALTER TABLE idempotency_keys ADD COLUMN joined BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE idempotency_keys DROP COLUMN joined;
DROP INDEX callbacks_of_address;
DROP INDEX callbacks_of_client;
ALTER TABLE callbacks DROP COLUMN refused;
ALTER TABLE callbacks DROP COLUMN client_ip;
DROP TABLE widgets;
