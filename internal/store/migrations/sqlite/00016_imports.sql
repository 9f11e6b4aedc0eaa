-- +goose Up
-- How far the records of a system beside us have been read. Stored together
-- with what was read.
CREATE TABLE imports (
    account_id TEXT NOT NULL,
    source     TEXT NOT NULL, -- freepbx
    position   TEXT NOT NULL, -- in the words of the source
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, source)
) WITHOUT ROWID;
-- Where calls went that an extension of FreePBX did not answer before this
-- server changed it (asterisk.users.noanswer_dest): the way back.
CREATE TABLE freepbx_destinations (
    account_id TEXT NOT NULL,
    extension  TEXT NOT NULL,
    before     TEXT NOT NULL,
    after      TEXT NOT NULL, -- what it was changed to
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, extension)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE freepbx_destinations;
DROP TABLE imports;
