-- +goose Up

-- Counts the changes of state of all emails. A replay is about the emails that have not
-- changed since it was asked for: by this count, which no clock can turn back.
CREATE SEQUENCE email_changes;
ALTER TABLE emails ADD COLUMN change bigint NOT NULL DEFAULT 0;
-- Null: of a program that knows only last_sequence.
ALTER TABLE replays ADD COLUMN last_change bigint;

-- +goose Down
ALTER TABLE replays DROP COLUMN last_change;
ALTER TABLE emails DROP COLUMN change;
DROP SEQUENCE email_changes;
