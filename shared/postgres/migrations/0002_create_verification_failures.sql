-- +goose Up

-- Checks of a webhook that failed, counted by the hour. Nothing of a request is
-- here but the address it came from and what was wrong with it.
CREATE TABLE verification_failures (
    hour     timestamptz NOT NULL,
    source   text        NOT NULL,
    scheme   text        NOT NULL,
    code     text        NOT NULL,
    -- Empty for all addresses together that came after the hour's bound was reached.
    address  text        NOT NULL,
    count    bigint      NOT NULL CHECK (count > 0),
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL CHECK (last_at >= first_at),
    -- The hour leads: rows are listed newest first and pruned oldest first.
    PRIMARY KEY (hour, source, scheme, code, address)
) WITH (
    -- A row of the hour that runs is updated every few seconds under a flood, in
    -- place if its page has room.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.05
);

-- +goose Down
DROP TABLE verification_failures;
