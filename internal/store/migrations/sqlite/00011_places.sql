-- +goose Up
-- Places in queues whose callers are on the line no more: they will be called.
-- config is acd.Kept as JSON.
CREATE TABLE queue_places (
    account_id TEXT NOT NULL,
    id         TEXT NOT NULL,
    config     TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE queue_places;
