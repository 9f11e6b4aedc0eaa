-- +goose Up
-- What an administrator says of the locations of caller ID: one that ships is
-- changed by the row with its id. config is numbering.Location as JSON.
CREATE TABLE locations (
    account_id TEXT NOT NULL,
    id         TEXT NOT NULL,
    config     TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE locations;
