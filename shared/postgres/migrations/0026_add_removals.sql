-- +goose Up

-- An object goes in two phases: while removing_since is set no manifest that names it is
-- saved; after that removed_as is the number of its removal, which tells whether an
-- email's objects were written before or after it. The row stays for a while.
ALTER TABLE unwanted_objects
    ADD COLUMN removing_since timestamptz,
    ADD COLUMN removed_as     bigint,
    ADD COLUMN removed_at     timestamptz;

-- How many objects were removed so far.
CREATE TABLE object_removals (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint  NOT NULL
) WITH (fillfactor = 10);
INSERT INTO object_removals (number) VALUES (0);

-- +goose Down
DROP TABLE object_removals;
DELETE FROM unwanted_objects WHERE removed_at IS NOT NULL;
ALTER TABLE unwanted_objects
    DROP COLUMN removing_since,
    DROP COLUMN removed_as,
    DROP COLUMN removed_at;
