-- +goose Up
-- What callers hear who do not reach an operator. The sound of a notice is a
-- file in the data folder; it is there before its row is.
CREATE TABLE notices (
    account_id TEXT NOT NULL,
    extension  TEXT NOT NULL,
    enabled    BOOLEAN NOT NULL,
    source     TEXT NOT NULL,    -- recorded, uploaded, text
    text       TEXT NOT NULL,    -- what is spoken, of source text
    file       TEXT NOT NULL,    -- a name, of the other sources
    length_ms  BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, extension)
);

-- +goose Down
DROP TABLE notices;
