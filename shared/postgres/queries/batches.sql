-- InsertReplay fixes which emails a replay is about. Emails that were accepted in transactions still open have ids
-- that are taken, so they may be chosen or not, as if they had come a moment earlier or
-- later; the same holds for changes of state. last_sequence is for older programs.
-- name: InsertReplay :one
INSERT INTO replays (action, from_step, filter, dry_run, new_effect, note, actor, person, via, cause, rate, at_once,
       started_from, request_key, last_id, last_sequence, last_change)
SELECT @action::text, @from_step::text, @filter::jsonb, @dry_run::bool, @new_effect::bool, @note::text, @actor::text,
       @person::text, @via::text, @cause::text, @rate::float8, @at_once::int, nullif(@started_from::bigint, 0), @request_key::text,
       coalesce((SELECT max(e.id) FROM emails e), 0), (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
       coalesce(pg_sequence_last_value('email_changes'::regclass), 0)
RETURNING id;

-- FindStartedReplay returns the replay that this dry run, or this key of the actor, has started.
-- name: FindStartedReplay :one
SELECT id FROM replays
 WHERE started_from = nullif(@started_from::bigint, 0) OR (request_key <> '' AND request_key = @request_key AND actor = @actor)
 ORDER BY id LIMIT 1;

-- name: FindReplay :one
SELECT r.id, r.action, r.from_step, r.filter, r.dry_run, r.new_effect, r.note, r.actor, r.via, r.cause, r.rate, r.at_once,
       r.started_from, coalesce((SELECT s.id FROM replays s WHERE s.started_from = r.id), 0)::bigint AS started_as, r.request_key,
       r.state, r.created_at, r.started_at, r.ended_at, r.total, r.done, r.skipped, r.failed,
       (CASE WHEN r.state = 'running' AND r.paced_at > now() - interval '15 seconds' THEN r.pace ELSE 0 END)::float8 AS pace, r.preview,
       coalesce((SELECT jsonb_object_agg(c.code, c.count) FROM replay_counts c WHERE c.replay_id = r.id), '{}')::jsonb AS results
  FROM replays r WHERE r.id = @id;

-- ListReplays returns dry runs or what was started, those of tenants alone, where tenants
-- is not null: replays that were limited to them.
-- name: ListReplays :many
SELECT r.id, r.action, r.from_step, r.filter, r.dry_run, r.new_effect, r.note, r.actor, r.via, r.cause, r.rate, r.at_once,
       r.started_from, coalesce((SELECT s.id FROM replays s WHERE s.started_from = r.id), 0)::bigint AS started_as, r.request_key,
       r.state, r.created_at, r.started_at, r.ended_at, r.total, r.done, r.skipped, r.failed,
       (CASE WHEN r.state = 'running' AND r.paced_at > now() - interval '15 seconds' THEN r.pace ELSE 0 END)::float8 AS pace, r.preview,
       coalesce((SELECT jsonb_object_agg(c.code, c.count) FROM replay_counts c WHERE c.replay_id = r.id), '{}')::jsonb AS results
  FROM replays r
 WHERE r.dry_run = @dry_runs::bool AND (@before::bigint = 0 OR r.id < @before::bigint)
   AND (sqlc.narg(tenants)::text[] IS NULL OR r.filter->>'tenant' = ANY(sqlc.narg(tenants)::text[])
        OR (jsonb_typeof(r.filter->'tenants') = 'array' AND r.filter->'tenants' <@ to_jsonb(sqlc.narg(tenants)::text[])))
 ORDER BY r.id DESC LIMIT @max_rows::bigint;

-- ListIdleReplays returns replays that should run and on which no worker has worked for long.
-- name: ListIdleReplays :many
SELECT r.id, r.action, r.from_step, r.filter, r.dry_run, r.new_effect, r.note, r.actor, r.via, r.cause, r.rate, r.at_once,
       r.started_from, coalesce((SELECT s.id FROM replays s WHERE s.started_from = r.id), 0)::bigint AS started_as, r.request_key,
       r.state, r.created_at, r.started_at, r.ended_at, r.total, r.done, r.skipped, r.failed,
       (CASE WHEN r.state = 'running' AND r.paced_at > now() - interval '15 seconds' THEN r.pace ELSE 0 END)::float8 AS pace, r.preview,
       coalesce((SELECT jsonb_object_agg(c.code, c.count) FROM replay_counts c WHERE c.replay_id = r.id), '{}')::jsonb AS results
  FROM replays r
 WHERE r.state = 'running' AND greatest(r.created_at, r.started_at, r.paced_at) < now() - @idle::interval ORDER BY r.id LIMIT 100;

-- ReplayOutcomes counts the emails that a replay has done by what they are now, the first
-- max_rows of them. One whose state has not changed since is still on its way.
-- name: ReplayOutcomes :many
SELECT (CASE WHEN e.change <= r.last_change THEN 'processing' ELSE e.state END)::text AS state,
       (CASE WHEN e.change <= r.last_change THEN '' ELSE e.reason END)::text AS reason, count(*) AS count
  FROM (SELECT i.email_id FROM replay_items i WHERE i.replay_id = @id::bigint AND i.state = 'done' ORDER BY i.email_id LIMIT @max_rows::bigint) done
  JOIN emails e ON e.id = done.email_id JOIN replays r ON r.id = @id::bigint
 GROUP BY 1, 2;

-- ListReplayItems counts as sent what the replay sent under its own effect, and what a
-- decision of it let go: delivered after the email was claimed, and before another decision.
-- name: ListReplayItems :many
SELECT i.email_id AS number, e.event_id, e.workflow_id, e.source, i.state, i.code, i.detail, i.at, e.state AS email_state, e.reason AS email_reason,
       (SELECT count(*) FROM deliveries d WHERE d.email_id = e.id AND d.state = 'delivered' AND (d.effect = @effect::text
           OR (d.effect = '' AND i.state = 'done' AND r.intent_id IS NOT NULL AND d.updated_at >= coalesce(i.claimed_at, i.at) AND NOT EXISTS (
               SELECT FROM decisions o WHERE o.email_id = e.id AND o.intent_id IS DISTINCT FROM r.intent_id
                  AND o.decided_at > coalesce(i.claimed_at, i.at) AND o.decided_at <= d.updated_at)))) AS sent,
       (SELECT count(*) FROM deliveries d WHERE d.email_id = e.id AND d.effect = @effect::text AND d.state = 'skipped') AS same
  FROM replay_items i JOIN emails e ON e.id = i.email_id JOIN replays r ON r.id = i.replay_id
 WHERE i.replay_id = @replay_id::bigint AND i.email_id > @after::bigint
   AND (@state::text = '' OR i.state = @state::text) AND (@code::text = '' OR i.code = @code::text)
 ORDER BY i.email_id LIMIT @max_rows::bigint;

-- name: ControlReplay :execrows
UPDATE replays SET state = coalesce(nullif(@state::text, ''), state), rate = coalesce(sqlc.narg(rate)::float8, rate),
       ended_at = CASE WHEN @final::bool THEN now() END
 WHERE id = @id AND (state IN ('running', 'paused') OR state = @state::text);

-- TakeReplay raises the fence that claims need.
-- name: TakeReplay :one
UPDATE replays SET fence = fence + 1, started_at = coalesce(started_at, now()) WHERE id = @id RETURNING fence;

-- name: LockReplay :one
SELECT fence, state, position, last_id FROM replays WHERE id = @id FOR UPDATE;

-- name: ClaimReplayItems :exec
INSERT INTO replay_items (replay_id, email_id, state) SELECT @replay_id::bigint, unnest(@ids::bigint[]), 'claimed'
ON CONFLICT (replay_id, email_id) DO NOTHING;

-- name: MoveReplay :exec
UPDATE replays SET position = @position WHERE id = @id;

-- name: SaveReplayResults :exec
WITH given AS (
    SELECT unnest(@ids::bigint[]) AS email_id, unnest(@states::text[]) AS state, unnest(@codes::text[]) AS code,
           unnest(@details::text[]) AS detail
), saved AS (
    UPDATE replay_items i SET state = g.state, code = g.code, detail = g.detail, at = now()
      FROM given g WHERE i.replay_id = @id::bigint AND i.email_id = g.email_id AND i.state = 'claimed'
    RETURNING g.state, g.code
), counted AS (
    INSERT INTO replay_counts AS c (replay_id, code, count) SELECT @id::bigint, s.code, count(*) FROM saved s GROUP BY s.code
    ON CONFLICT (replay_id, code) DO UPDATE SET count = c.count + excluded.count
)
UPDATE replays SET pace = @pace::float8, paced_at = now(),
       done = done + (SELECT count(*) FROM saved s WHERE s.state = 'done'),
       skipped = skipped + (SELECT count(*) FROM saved s WHERE s.state = 'skipped'),
       failed = failed + (SELECT count(*) FROM saved s WHERE s.state = 'failed')
 WHERE id = @id::bigint;

-- name: ReplayControl :one
SELECT state, rate, fence FROM replays WHERE id = @id;

-- name: SaveReplayPreview :exec
UPDATE replays SET preview = @preview::jsonb, total = @total, state = 'done', ended_at = now()
 WHERE id = @id AND state IN ('running', 'paused');

-- name: LockReplayIntent :one
SELECT intent_id FROM replays WHERE id = @id FOR UPDATE;

-- name: InsertReplayIntent :one
INSERT INTO intents (replay_id, action, actor, person, via, note, from_step)
SELECT id, CASE WHEN action = 'replay' THEN 'retry' ELSE action END, actor, person,
       CASE WHEN via = 'system' THEN via ELSE 'replay' END, note, from_step FROM replays WHERE replays.id = @id
RETURNING id;

-- name: SetReplayIntent :exec
UPDATE replays SET intent_id = @intent::bigint WHERE id = @id;
