-- +goose Up
-- config is directory.Queue as JSON.
CREATE TABLE queues (
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    config     TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, name)
);

-- config is directory.Route as JSON.
CREATE TABLE routes (
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    config     TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, name)
);

-- +goose Down
DROP TABLE routes;
DROP TABLE queues;
