-- +goose Up
-- widget is the instrument the request came through, whose settings say what
-- happens after an attempt. final: nobody wants another attempt, whatever
-- becomes of this one.
ALTER TABLE callbacks ADD COLUMN widget TEXT NOT NULL DEFAULT '';
ALTER TABLE callbacks ADD COLUMN final BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX callbacks_due ON callbacks (next_attempt_at, id) WHERE state = 'scheduled';
CREATE INDEX callbacks_newest ON callbacks (account_id, created_at DESC, id DESC);
CREATE INDEX callbacks_in_state ON callbacks (account_id, state, created_at DESC, id DESC);

-- +goose Down
DROP INDEX callbacks_in_state;
DROP INDEX callbacks_newest;
DROP INDEX callbacks_due;
ALTER TABLE callbacks DROP COLUMN final;
ALTER TABLE callbacks DROP COLUMN widget;
