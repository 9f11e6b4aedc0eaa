-- +goose Up
-- The systems beside us that an account is connected with, one row each, and
-- how: addresses, secrets, tokens.
CREATE TABLE integrations (
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL, -- bitrix24
    config     TEXT NOT NULL, -- JSON
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, name)
) WITHOUT ROWID;
-- How far Bitrix24 has been told of a call: its name there, and which requests
-- were sent that must not be sent twice.
CREATE TABLE bitrix24_calls (
    call_id  TEXT PRIMARY KEY REFERENCES calls (id) ON DELETE CASCADE,
    progress TEXT NOT NULL -- JSON
) WITHOUT ROWID;

-- +goose Down
DROP TABLE bitrix24_calls;
DROP TABLE integrations;
