-- +goose Up

-- When the open breaker of a worker lets the next call pass; null while it is not open.
ALTER TABLE destination_status ADD COLUMN probe_at timestamptz;

-- +goose Down
ALTER TABLE destination_status DROP COLUMN probe_at;
