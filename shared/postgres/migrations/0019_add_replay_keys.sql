-- +goose Up

-- What a replay was begun by: the dry run that counted it, or the key that its
-- caller made. Either begins one replay, however often and wherever it is asked for.
ALTER TABLE replays
    ADD COLUMN started_from bigint CONSTRAINT replays_started_from UNIQUE REFERENCES replays (id),
    ADD COLUMN request_key  text NOT NULL DEFAULT '' CHECK (length(request_key) <= 200);
CREATE UNIQUE INDEX replays_request_key ON replays (actor, request_key) WHERE request_key <> '';

-- +goose Down
DROP INDEX replays_request_key;
ALTER TABLE replays DROP COLUMN request_key, DROP COLUMN started_from;
