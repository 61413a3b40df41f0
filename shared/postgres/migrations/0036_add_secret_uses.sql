-- +goose Up

-- When a secret of a source last verified a request at any ingress, to about a minute. A
-- secret is known by its reference and its scheme: its place in the configuration may change.
-- A source that verifies nothing has one row, with an empty reference.
CREATE TABLE secret_uses (
    source  text        NOT NULL CHECK (source <> ''),
    ref     text        NOT NULL,
    scheme  text        NOT NULL, -- empty: every scheme of the source
    used_at timestamptz NOT NULL,
    PRIMARY KEY (source, ref, scheme)
);

-- +goose Down
DROP TABLE secret_uses;
