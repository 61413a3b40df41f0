-- +goose Up

-- One row per time that people were told of an email that is held for long. What
-- tells a reminder from others is what its workflow counts: a repeat is no new row.
CREATE TABLE reminders (
    email_id bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    since    timestamptz NOT NULL, -- of the hold
    step     text        NOT NULL,
    number   integer     NOT NULL,
    deadline boolean     NOT NULL, -- tells of a deadline that left the email held
    level    integer     NOT NULL CHECK (level IN (1, 2)), -- as emails.attention
    reasons  text[]      NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (email_id, since, step, number, deadline)
);

-- When a replay came to an email; at is when its result was written down.
ALTER TABLE replay_items ADD COLUMN claimed_at timestamptz;
ALTER TABLE replay_items ALTER COLUMN claimed_at SET DEFAULT now();
CREATE INDEX replay_items_email ON replay_items (email_id);

-- +goose Down
DROP INDEX replay_items_email;
ALTER TABLE replay_items DROP COLUMN claimed_at;
DROP TABLE reminders;
