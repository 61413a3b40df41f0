-- +goose Up

-- What somebody wants to be done, written down under an authenticated name before
-- Temporal hears of it: the update carries the id alone. Once taken, a row of
-- decisions points here.
CREATE TABLE intents (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- One email, or all those of a replay.
    email_id   bigint REFERENCES emails (id) ON DELETE CASCADE,
    replay_id  bigint,
    action     text        NOT NULL CHECK (action IN ('approve', 'discard', 'retry', 'edit')),
    actor      text        NOT NULL CHECK (actor <> ''),
    via        text        NOT NULL CHECK (via IN ('api', 'console', 'mailctl', 'replay', 'system')),
    note       text        NOT NULL CHECK (note <> ''),
    edit_id    bigint,
    -- The step to take the email up at; empty: the one that holds it.
    from_step  text        NOT NULL DEFAULT '' CHECK (from_step IN ('', 'store', 'inspect', 'route', 'deliver')),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((email_id IS NULL) <> (replay_id IS NULL)),
    CHECK ((action = 'edit') = (edit_id IS NOT NULL))
);
CREATE INDEX intents_email ON intents (email_id) WHERE email_id IS NOT NULL;

ALTER TABLE decisions DROP CONSTRAINT decisions_action_check;
ALTER TABLE decisions
    ADD CONSTRAINT decisions_action_check CHECK (action IN ('approve', 'discard', 'retry', 'edit')),
    -- No foreign key: a decision outlives what it was asked for with.
    ADD COLUMN intent_id bigint,
    ADD COLUMN edit_id bigint,
    -- Came through our authentication or from our configuration, not from whoever can reach Temporal.
    ADD COLUMN verified boolean NOT NULL DEFAULT false,
    -- How many more people had to approve after this one.
    ADD COLUMN missing integer NOT NULL DEFAULT 0 CHECK (missing >= 0);
-- An intent is taken once for each email.
CREATE UNIQUE INDEX decisions_intent ON decisions (email_id, intent_id) WHERE intent_id IS NOT NULL;

ALTER TABLE emails
    -- When the hold began that lasts; null where the email is not held.
    ADD COLUMN held_at timestamptz,
    -- 0: none, 1: people were reminded, 2: it has waited for long, or past its deadline.
    ADD COLUMN attention smallint NOT NULL DEFAULT 0 CHECK (attention BETWEEN 0 AND 2),
    ADD COLUMN attention_at timestamptz,
    -- How many more people have to approve; 0 where one is enough.
    ADD COLUMN approvals_missing integer NOT NULL DEFAULT 0 CHECK (approvals_missing >= 0);

-- +goose Down
ALTER TABLE emails DROP COLUMN held_at, DROP COLUMN attention, DROP COLUMN attention_at, DROP COLUMN approvals_missing;
DROP INDEX decisions_intent;
ALTER TABLE decisions DROP COLUMN intent_id, DROP COLUMN edit_id, DROP COLUMN verified, DROP COLUMN missing;
ALTER TABLE decisions DROP CONSTRAINT decisions_action_check;
DELETE FROM decisions WHERE action = 'edit';
ALTER TABLE decisions ADD CONSTRAINT decisions_action_check CHECK (action IN ('approve', 'discard', 'retry'));
DROP TABLE intents;
