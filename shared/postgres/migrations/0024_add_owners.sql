-- +goose Up

-- Whose a token is: what is approved with it counts as that person's, however many
-- tokens and logins there are. Empty: who made it.
ALTER TABLE tokens ADD COLUMN owner text NOT NULL DEFAULT '';
-- A token that was made with a token belongs to who made the first of them.
WITH RECURSIVE made AS (
    SELECT t.id, t.created_by, 1 AS depth FROM tokens t
    UNION ALL
    SELECT m.id, t.created_by, m.depth + 1 FROM made m JOIN tokens t ON t.name = m.created_by WHERE m.depth < 100
)
UPDATE tokens t SET owner = (SELECT m.created_by FROM made m WHERE m.id = t.id ORDER BY m.depth DESC LIMIT 1);

-- Whom the actor acts for; empty: the actor.
ALTER TABLE intents ADD COLUMN person text NOT NULL DEFAULT '';
ALTER TABLE replays ADD COLUMN person text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE replays DROP COLUMN person;
ALTER TABLE intents DROP COLUMN person;
ALTER TABLE tokens DROP COLUMN owner;
