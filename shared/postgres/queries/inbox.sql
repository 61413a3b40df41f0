-- PlaceEvents inserts the rows of new events and returns those that it inserted. Their
-- order decides which of two batches that share ids waits. The bodies stay out of
-- input, which is read twice and therefore kept in memory.
-- name: PlaceEvents :many
WITH input AS MATERIALIZED (
    SELECT i.ord::int AS ord, i.source::text AS source, i.event_id::text AS event_id, i.body_sha256::bytea AS body_sha256,
           i.conflict_of::bigint AS conflict_of, i.workflow_id::text AS workflow_id, i.tenant::text AS tenant,
           i.correlation_id::text AS correlation_id, i.size::bigint AS size, i.received_at::timestamptz AS received_at,
           i.verified_scheme::text AS verified_scheme, i.verified_key::int AS verified_key, i.verified_ref::text AS verified_ref
      FROM ROWS FROM (unnest(@ord::int[]), unnest(@source::text[]), unnest(@event_id::text[]), unnest(@sha256::bytea[]),
           unnest(@conflict_of::bigint[]), unnest(@workflow_id::text[]), unnest(@tenant::text[]),
           unnest(@correlation_id::text[]), unnest(@size::bigint[]), unnest(@received_at::timestamptz[]),
           unnest(@scheme::text[]), unnest(@key::int[]), unnest(@ref::text[]))
        AS i (ord, source, event_id, body_sha256, conflict_of, workflow_id, tenant, correlation_id, size, received_at,
              verified_scheme, verified_key, verified_ref)
), fresh AS (
    INSERT INTO emails (source, event_id, body_sha256, conflict_of, workflow_id, tenant, correlation_id, size, received_at,
           verified_scheme, verified_key, verified_ref)
    SELECT source, event_id, body_sha256, nullif(conflict_of, 0), workflow_id, tenant, correlation_id, size, received_at,
           verified_scheme, verified_key, verified_ref
      FROM input
    ON CONFLICT DO NOTHING
    RETURNING id, source, event_id, body_sha256
), placed AS (
    SELECT i.ord, f.id FROM fresh f JOIN input i USING (event_id, source, body_sha256)
), queued AS (
    INSERT INTO inbox (email_id, body, body_key, hold_reason, hold_detail, claimed_until)
    SELECT p.id, CASE WHEN b.body_key = '' THEN coalesce(b.body, '') END, nullif(b.body_key, ''),
           b.hold_reason, b.hold_detail, CASE WHEN b.claim THEN now() + @lease::interval END
      FROM placed p
      JOIN (SELECT unnest(@ord::int[]) AS ord, unnest(@body::bytea[]) AS body, unnest(@body_key::text[]) AS body_key,
                   unnest(@hold_reason::text[]) AS hold_reason, unnest(@hold_detail::text[]) AS hold_detail,
                   unnest(@claim::bool[]) AS claim) b USING (ord)
)
SELECT p.ord::int AS ord, p.id FROM placed p;

-- FindRivals returns the first rows of event ids, and the conflicting rows with these bodies.
-- name: FindRivals :many
WITH wanted AS MATERIALIZED (
    SELECT w.source::text AS source, w.event_id::text AS event_id, w.body_sha256::bytea AS body_sha256
      FROM ROWS FROM (unnest(@source::text[]), unnest(@event_id::text[]), unnest(@sha256::bytea[]))
        AS w (source, event_id, body_sha256)
)
SELECT e.id, e.workflow_id, e.source, e.event_id, e.tenant, e.correlation_id, e.size, e.received_at, e.body_sha256,
       false AS conflict
  FROM wanted w JOIN emails e ON e.event_id = w.event_id AND e.source = w.source AND e.conflict_of IS NULL
UNION ALL
SELECT e.id, e.workflow_id, e.source, e.event_id, e.tenant, e.correlation_id, e.size, e.received_at, e.body_sha256,
       true AS conflict
  FROM wanted w JOIN emails e ON e.event_id = w.event_id AND e.source = w.source AND e.body_sha256 = w.body_sha256
   AND e.conflict_of IS NOT NULL;

-- The dispatcher's statements do not wait for the disk (synchronous_commit is off for
-- their own transaction): a claim or a mark that a crash of the server loses costs one
-- more start, which finds the workflow running.
-- name: ClaimWaiting :many
WITH next AS MATERIALIZED (
    SELECT email_id FROM inbox
     WHERE started_at IS NULL AND (claimed_until IS NULL OR claimed_until < now())
     ORDER BY email_id LIMIT @max_rows::bigint FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE inbox i SET claimed_until = now() + @lease::interval
      FROM next, (SELECT set_config('synchronous_commit', 'off', true)) AS unsynced
     WHERE i.email_id = next.email_id
    RETURNING i.email_id, i.hold_reason, i.hold_detail
)
SELECT e.id, e.workflow_id, e.source, e.event_id, e.tenant, e.correlation_id, e.size, e.received_at, e.body_sha256,
       c.hold_reason, c.hold_detail, (e.state = 'retrying' AND e.reason = 'internal')::bool AS refused
  FROM claimed c JOIN emails e ON e.id = c.email_id
 ORDER BY e.id;

-- name: MarkStarted :exec
UPDATE inbox SET started_at = now()
  FROM (SELECT set_config('synchronous_commit', 'off', true)) AS unsynced
 WHERE email_id = ANY(@ids::bigint[]) AND started_at IS NULL;

-- name: ReleaseClaims :exec
UPDATE inbox i SET claimed_until = now() + @rest::interval
  FROM (SELECT set_config('synchronous_commit', 'off', true)) AS unsynced
 WHERE i.email_id = ANY(@ids::bigint[]) AND i.started_at IS NULL AND i.claimed_until IS DISTINCT FROM 'infinity';

-- MeasureInbox leaves out rows that are refused for good: their claim never ends.
-- name: MeasureInbox :one
SELECT count(*) AS waiting, coalesce(clock_timestamp() - min(accepted_at), interval '0')::interval AS oldest
  FROM inbox i WHERE i.started_at IS NULL AND i.claimed_until IS DISTINCT FROM 'infinity';

-- name: CountAhead :one
SELECT count(*) FROM (
    (SELECT email_id, started_at FROM inbox ORDER BY email_id LIMIT @max_rows::bigint)
    UNION
    SELECT email_id, started_at FROM inbox WHERE email_id = ANY(@ids::bigint[])
) near
 WHERE started_at > now() - interval '30 seconds' OR email_id = ANY(@ids::bigint[]);

-- CountStuck counts emails that were started so long ago and are not stored.
-- name: CountStuck :one
SELECT count(*) FROM inbox WHERE started_at < now() - @age::interval;

-- A row whose workflow cannot be started is claimed for ever, so that no ingress starts
-- it until a person retries it. bound is below every sequence of a workflow.
-- name: RefuseStart :exec
WITH refused AS (
    UPDATE inbox i SET claimed_until = CASE WHEN @final::bool THEN 'infinity' ELSE now() + @rest::interval END
     WHERE i.email_id = @id AND i.started_at IS NULL AND i.claimed_until IS DISTINCT FROM 'infinity'
    RETURNING i.email_id
)
UPDATE emails SET state = @state::text, reason = 'internal', detail = @detail::text, sequence = sequence + 1,
       change = nextval('email_changes'), state_since = now(), held_at = CASE WHEN @final::bool THEN now() END
 WHERE id IN (SELECT email_id FROM refused) AND state IN ('processing', 'retrying') AND sequence < @bound::bigint
   AND (state, reason, detail) IS DISTINCT FROM (@state::text, 'internal', @detail::text);

-- name: ClearRefusal :exec
UPDATE emails SET state = 'processing', reason = '', detail = '', sequence = sequence + 1,
       change = nextval('email_changes'), state_since = now(), held_at = NULL
 WHERE id = @id AND state = 'retrying' AND reason = 'internal' AND sequence < @bound::bigint;

-- name: LockRefused :one
SELECT n.action, (e.state = 'quarantined' AND e.reason = 'internal' AND EXISTS (
       SELECT FROM inbox i WHERE i.email_id = e.id AND i.started_at IS NULL AND i.claimed_until = 'infinity'))::bool AS waits
  FROM emails e JOIN intents n ON n.id = @intent AND (n.email_id = e.id OR EXISTS (
       SELECT FROM replay_items r WHERE r.replay_id = n.replay_id AND r.email_id = e.id))
 WHERE e.id = @id FOR NO KEY UPDATE OF e;

-- name: ReleaseRefused :exec
UPDATE inbox i SET claimed_until = NULL
 WHERE i.email_id = @id AND i.started_at IS NULL AND i.claimed_until = 'infinity';

-- name: MoveRefused :exec
UPDATE emails SET state = @state::text, reason = '', detail = '', sequence = sequence + 1,
       change = nextval('email_changes'), state_since = now(), held_at = NULL, attention = 0,
       attention_at = NULL, approvals_missing = 0, closed_at = CASE WHEN @ends::bool THEN now() END
 WHERE id = @id;

-- name: InsertRefusedDecision :exec
INSERT INTO decisions (email_id, sequence, action, actor, via, note, reason, state_before, state_after, decided_at,
                       intent_id, verified)
SELECT e.id, e.sequence, n.action, n.actor, n.via, n.note, 'internal', 'quarantined', e.state, now(), n.id, true
  FROM emails e JOIN intents n ON n.id = @intent WHERE e.id = @id
ON CONFLICT DO NOTHING;
