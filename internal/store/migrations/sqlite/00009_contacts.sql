-- +goose Up
-- Who was in touch with which client, for the look-up of the responsible
-- manager: one row for each operator whom a call rang (call.Contact). call_id
-- refers to calls where source is 'own'; the calls of a PBX beside us have
-- names of their own.
CREATE TABLE contacts (
    account_id  TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    operator    TEXT NOT NULL,    -- extension, or number
    outside     BOOLEAN NOT NULL, -- operator is a number
    client_key  TEXT NOT NULL,    -- the last ten digits of the client's number
    client      TEXT NOT NULL,    -- E.164, or empty where the country is not known
    at          INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    direction   TEXT NOT NULL,
    passed_over BOOLEAN NOT NULL, -- another operator of the same call picked up
    source      TEXT NOT NULL,    -- own, freepbx
    PRIMARY KEY (account_id, call_id, operator)
) WITHOUT ROWID;
CREATE INDEX contacts_of_client ON contacts (account_id, client_key, at, call_id, operator) WHERE NOT passed_over;

-- Of the calls that are there it is known who picked up last.
INSERT INTO contacts (account_id, call_id, operator, outside, client_key, client, at, outcome, direction, passed_over, source)
SELECT account_id, id, responsible, responsible LIKE '+%', substr(client, -10), client, COALESCE(answered_at, started_at),
       CASE WHEN joined_at IS NULL THEN 'no_answer' ELSE 'answered' END, direction, FALSE, 'own'
FROM calls
WHERE responsible <> '' AND client LIKE '+%' AND LENGTH(client) > 10 AND direction <> 'internal';

-- +goose Down
DROP TABLE contacts;
