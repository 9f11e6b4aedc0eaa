-- +goose Up
-- Requests that brought an open callback's planned attempt forward: they were
-- carried out, so they count for the rates of their widget.
CREATE TABLE asked_again (
    account_id  TEXT NOT NULL,
    callback_id TEXT NOT NULL,
    widget      TEXT NOT NULL,
    client      TEXT NOT NULL,
    client_ip   TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX asked_again_of_client ON asked_again (account_id, widget, client, created_at);
CREATE INDEX asked_again_of_address ON asked_again (account_id, widget, client_ip, created_at) WHERE client_ip <> '';

-- +goose Down
DROP TABLE asked_again;
