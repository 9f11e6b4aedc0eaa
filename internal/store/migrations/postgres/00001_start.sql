-- Times are milliseconds since 1970, UTC. Ids are UUIDv7 as text. JSON is text.
-- Every row that belongs to an organisation says to which: account_id.

-- +goose Up
CREATE TABLE nodes (
    id      TEXT PRIMARY KEY,
    seen_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    prefix     TEXT NOT NULL,
    hash       TEXT NOT NULL UNIQUE, -- SHA-256 of the key, hexadecimal
    rights     TEXT NOT NULL,        -- JSON list
    created_at BIGINT NOT NULL
);

-- What an administrator sets is read whole and never searched by its fields:
-- config is the directory type as JSON, so a new field needs no migration.
CREATE TABLE trunks (
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    config     TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, name)
);

CREATE TABLE operators (
    account_id TEXT NOT NULL,
    extension  TEXT NOT NULL,
    config     TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, extension)
);

CREATE TABLE callbacks (
    id              TEXT PRIMARY KEY,
    account_id      TEXT NOT NULL,
    state           TEXT NOT NULL,
    client          TEXT NOT NULL,
    packet          TEXT NOT NULL, -- normalised, JSON
    received        BYTEA NOT NULL, -- the request's body as it came
    next_attempt_at BIGINT,
    created_at      BIGINT NOT NULL
);
CREATE INDEX callbacks_queued ON callbacks (id) WHERE state = 'queued';

CREATE TABLE idempotency_keys (
    account_id   TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash TEXT NOT NULL, -- SHA-256 of the body, hexadecimal
    callback_id  TEXT NOT NULL,
    call_id      TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (account_id, key)
);

-- A call is what its events make of it; this row is the projection that lists
-- and look-ups need.
CREATE TABLE calls (
    id          TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL,
    node        TEXT NOT NULL, -- the process that drives it
    direction   TEXT NOT NULL,
    callback_id TEXT REFERENCES callbacks (id) ON DELETE CASCADE,
    attempt     BIGINT NOT NULL,
    client      TEXT NOT NULL,
    responsible TEXT NOT NULL,
    status_code BIGINT NOT NULL, -- 0 while the call lives
    status_slug TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    answered_at BIGINT,
    joined_at   BIGINT,
    ended_at    BIGINT,
    stages      TEXT NOT NULL, -- JSON
    recording   TEXT NOT NULL,
    recording_s DOUBLE PRECISION NOT NULL,
    last_seq    BIGINT NOT NULL
);
CREATE INDEX calls_newest ON calls (account_id, started_at DESC, id DESC);
CREATE INDEX calls_of_client ON calls (account_id, client, started_at DESC, id DESC);
CREATE INDEX calls_alive ON calls (node, id) WHERE ended_at IS NULL;
CREATE INDEX calls_rendering ON calls (id) WHERE recording = 'rendering';
-- One attempt is one call, whatever goes wrong: a client is never called twice by it.
CREATE UNIQUE INDEX calls_of_callback ON calls (callback_id, attempt) WHERE callback_id IS NOT NULL;

CREATE TABLE events (
    call_id    TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    seq        BIGINT NOT NULL,
    account_id TEXT NOT NULL,
    event      TEXT NOT NULL, -- JSON
    PRIMARY KEY (call_id, seq)
);

-- +goose Down
DROP TABLE events;
DROP TABLE calls;
DROP TABLE idempotency_keys;
DROP TABLE callbacks;
DROP TABLE operators;
DROP TABLE trunks;
DROP TABLE api_keys;
DROP TABLE nodes;
