-- +goose Up

-- Signals that the workflow of an email does not know, by name: `aprove` changes nothing,
-- and its sender is not told. The workflow bounds the names of an email, and how often it
-- writes a number. The empty name stands for all further ones.
CREATE TABLE unknown_signals (
    email_id bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    name     text        NOT NULL CHECK (octet_length(name) <= 64),
    count    bigint      NOT NULL CHECK (count > 0),
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL,
    PRIMARY KEY (email_id, name)
);

-- +goose Down
DROP TABLE unknown_signals;
