-- +goose Up

-- What came of scanning the raw mail as a whole, beside each of its parts: the
-- scanner's verdict, 'absent' where none came, 'too_large' where the scanner takes no
-- mail of that size. Empty: from before it was scanned.
ALTER TABLE emails ADD COLUMN raw_view text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE emails DROP COLUMN raw_view;
