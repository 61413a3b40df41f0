-- +goose Up

-- The recipients that no rule took in the last routing, while one took another of the
-- email. NULL: there are none, or no routing has looked.
ALTER TABLE emails ADD COLUMN unmatched_recipients text[];

-- +goose Down
ALTER TABLE emails DROP COLUMN unmatched_recipients;
