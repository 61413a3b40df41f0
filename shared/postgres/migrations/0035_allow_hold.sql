-- +goose Up

-- A person can hold an email that waits for its next attempt. NOT VALID: the old lists are
-- part of the new one, so no row has to be read.
ALTER TABLE intents DROP CONSTRAINT intents_action_check;
ALTER TABLE intents ADD CONSTRAINT intents_action_check
    CHECK (action IN ('approve', 'discard', 'retry', 'edit', 'hold')) NOT VALID;
ALTER TABLE decisions DROP CONSTRAINT decisions_action_check;
ALTER TABLE decisions ADD CONSTRAINT decisions_action_check
    CHECK (action IN ('approve', 'discard', 'retry', 'edit', 'hold')) NOT VALID;
ALTER TABLE replays DROP CONSTRAINT replays_action_check;
ALTER TABLE replays ADD CONSTRAINT replays_action_check
    CHECK (action IN ('replay', 'approve', 'discard', 'retry', 'hold')) NOT VALID;

-- The state in which its sender has seen the email; empty: any.
ALTER TABLE intents ADD COLUMN state text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE intents DROP COLUMN state;
DELETE FROM intents WHERE action = 'hold';
DELETE FROM replays WHERE action = 'hold';
DELETE FROM decisions WHERE action = 'hold';
ALTER TABLE replays DROP CONSTRAINT replays_action_check;
ALTER TABLE replays ADD CONSTRAINT replays_action_check CHECK (action IN ('replay', 'approve', 'discard', 'retry'));
ALTER TABLE decisions DROP CONSTRAINT decisions_action_check;
ALTER TABLE decisions ADD CONSTRAINT decisions_action_check CHECK (action IN ('approve', 'discard', 'retry', 'edit'));
ALTER TABLE intents DROP CONSTRAINT intents_action_check;
ALTER TABLE intents ADD CONSTRAINT intents_action_check CHECK (action IN ('approve', 'discard', 'retry', 'edit'));
