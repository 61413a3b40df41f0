-- +goose Up

-- What people lay over an email, which itself stays as it came. An edit changes
-- nothing until the decision that it came with was taken (applied_at); one that
-- lost stays here unapplied. No row is changed otherwise.
CREATE TABLE edits (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email_id   bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    edit       jsonb       NOT NULL CHECK (jsonb_typeof(edit) = 'object'),
    -- What it made different when it was made, for people: [{field, before, after}].
    changes    jsonb       NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(changes) = 'array'),
    actor      text        NOT NULL,
    note       text        NOT NULL,
    -- Tells a repeat of the same writing; empty: every writing is new.
    key        text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz
);
CREATE INDEX edits_email ON edits (email_id, id);
CREATE UNIQUE INDEX edits_key ON edits (email_id, key) WHERE key <> '';

-- +goose Down
DROP TABLE edits;
