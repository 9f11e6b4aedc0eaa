-- +goose Up
-- transcript: call.Call's state of it. transcripts: segments is call.Segment as
-- a JSON list, there before the state says ready.
ALTER TABLE calls ADD COLUMN transcript TEXT NOT NULL DEFAULT 'none';
CREATE INDEX calls_transcribing ON calls (id) WHERE transcript = 'waiting';

CREATE TABLE transcripts (
    call_id    TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    segments   TEXT NOT NULL
);

-- +goose Down
DROP TABLE transcripts;
DROP INDEX calls_transcribing;
ALTER TABLE calls DROP COLUMN transcript;
