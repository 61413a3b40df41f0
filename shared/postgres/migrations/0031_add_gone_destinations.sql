-- +goose Up

-- Destinations that answered HTTP 410, and until when nothing is sent to them. What
-- people said of a destination since then (destination_controls) comes before it.
CREATE TABLE gone_destinations (
    destination text        PRIMARY KEY,
    at          timestamptz NOT NULL, -- of the answer
    until       timestamptz NOT NULL
);

-- +goose Down
DROP TABLE gone_destinations;
