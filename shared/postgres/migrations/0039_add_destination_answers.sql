-- +goose Up

-- What the answers of a destination say about the emails that wait for it: since when it
-- takes mail again, and how long it last asked to be left alone.
CREATE TABLE destination_answers (
    destination  text PRIMARY KEY,
    recovered_at timestamptz,
    asked_at     timestamptz, -- when it answered with a Retry-After, until asked_until
    asked_until  timestamptz
);

-- +goose Down
DROP TABLE destination_answers;
