-- name: InsertIntent :one
INSERT INTO intents (email_id, replay_id, action, actor, person, via, note, edit_id, from_step, state)
VALUES (nullif(@email_id::bigint, 0), nullif(@replay_id::bigint, 0), @action, @actor, @person, @via, @note,
       nullif(@edit_id::bigint, 0), @from_step, @state)
RETURNING id;

-- FindIntent returns an intent of an email, or of a replay that has claimed it.
-- name: FindIntent :one
SELECT i.action, i.actor, i.person, i.via, coalesce(i.edit_id, 0)::bigint AS edit_id, i.from_step,
       coalesce(y.id, 0)::bigint AS replay_id, coalesce(y.new_effect, false)::bool AS new_effect,
       EXISTS (SELECT FROM decisions d WHERE d.email_id = @email_id::bigint AND d.intent_id = i.id)::bool AS taken,
       (i.replay_id IS NULL AND i.created_at < now() - @age::interval)::bool AS old,
       coalesce((SELECT b.filter->>'reason' FROM replays b WHERE b.id = i.replay_id AND i.action = 'approve'), '')::text AS only_reason,
       coalesce(nullif(i.state, ''), (SELECT b.filter->>'state' FROM replays b WHERE b.id = i.replay_id), '')::text AS state
  FROM intents i LEFT JOIN replays y ON y.id = i.replay_id AND y.action = 'replay' AND i.from_step <> ''
 WHERE i.id = @intent::bigint AND (i.email_id = @email_id::bigint OR EXISTS (
       SELECT FROM replay_items r WHERE r.replay_id = i.replay_id AND r.email_id = @email_id::bigint));

-- name: DecisionOfIntent :one
SELECT EXISTS (SELECT FROM decisions WHERE email_id = @email_id AND intent_id = @intent::bigint);

-- name: LastDecision :one
SELECT action, actor, via, note, decided_at AS at, state_before AS before, state_after AS after, reason, verified, missing,
       coalesce(edit_id, 0)::bigint AS edit_id
  FROM decisions WHERE email_id = @email_id ORDER BY sequence DESC LIMIT 1;

-- name: ListDecisions :many
SELECT action, actor, via, note, decided_at AS at, state_before AS before, state_after AS after, reason, verified, missing,
       coalesce(edit_id, 0)::bigint AS edit_id
  FROM decisions WHERE email_id = @email_id ORDER BY sequence;

-- SaveReminder records a reminder once, and marks its email unless that has gone on.
-- name: SaveReminder :exec
WITH told AS (
    INSERT INTO reminders (email_id, since, step, number, deadline, level, reasons, at)
    SELECT e.id, @since::timestamptz, @step::text, @number::int, @deadline::bool, @level::smallint, @reasons::text[], @at::timestamptz
      FROM emails e WHERE e.id = @email_id::bigint
    ON CONFLICT DO NOTHING
)
UPDATE emails SET attention = @level::smallint, attention_at = @at::timestamptz
 WHERE id = @email_id::bigint AND state = 'quarantined' AND sequence <= @sequence::bigint AND attention <= @level::smallint;

-- name: InsertEdit :one
INSERT INTO edits AS e (email_id, edit, changes, actor, note, key)
VALUES (@email_id, @edit, @changes, @actor, @note, @key)
ON CONFLICT (email_id, key) WHERE key <> '' DO UPDATE SET key = e.key
RETURNING id;

-- ApplyEdit adds the hash of the edit to the audit chain, not its content.
-- name: ApplyEdit :one
WITH applied AS (
    UPDATE edits SET applied_at = clock_timestamp()
     WHERE id = @id::bigint AND email_id = @email_id::bigint AND applied_at IS NULL
    RETURNING id, email_id, edit, actor, note
), logged AS MATERIALIZED (
    SELECT audit_append('edit', a.email_id, '', a.actor, '', jsonb_build_object(
               'edit', a.id, 'sha256', encode(sha256(convert_to(a.edit::text, 'UTF8')), 'hex'), 'note', a.note,
               'fields', (SELECT jsonb_agg(f ORDER BY f) FROM jsonb_object_keys(a.edit) f))) AS seq
      FROM applied a
)
SELECT count(*) AS found, coalesce((SELECT max(l.seq) FROM logged l), 0)::bigint AS seq
  FROM edits WHERE edits.id = @id::bigint AND edits.email_id = @email_id::bigint;

-- name: ListEdits :many
SELECT id, edit, actor, note, created_at AS at, applied_at, changes FROM edits WHERE email_id = @email_id ORDER BY id;
