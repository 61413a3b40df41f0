-- ListOutages counts the emails that each unavailable dependency holds. A destination is
-- a cause of its own; a cause whose replay is running is left out.
-- name: ListOutages :many
WITH held AS (
    SELECT e.reason AS cause, e.reason, '' AS destination, e.id FROM emails e
     WHERE e.state = 'quarantined' AND e.reason IN ('scanner_unavailable', 'storage_unavailable')
    UNION ALL
    SELECT e.reason || ':' || d.destination, e.reason, d.destination, e.id
      FROM emails e JOIN deliveries d ON d.email_id = e.id AND d.state NOT IN ('delivered', 'skipped')
     WHERE e.state = 'quarantined' AND e.reason = 'downstream_exhausted'
), causes AS (
    SELECT h.cause, min(h.reason) AS reason, min(h.destination) AS destination, count(*) AS count FROM held h
     WHERE NOT EXISTS (SELECT FROM replays r WHERE r.cause = h.cause AND r.state IN ('running', 'paused'))
     GROUP BY h.cause
)
SELECT c.cause::text AS cause, c.reason::text AS reason, c.destination::text AS destination, c.count FROM causes c ORDER BY c.cause;

-- name: EmailState :one
SELECT state, reason FROM emails WHERE id = @id;

-- name: EmailWorkflow :one
SELECT workflow_id FROM emails WHERE id = @id;

-- name: FindRecovery :one
SELECT coalesce(canary, 0)::bigint AS canary, failures, tried_at, next_at FROM recoveries WHERE cause = @cause;

-- name: SaveRecovery :exec
INSERT INTO recoveries AS c (cause, canary, failures, tried_at, next_at)
VALUES (@cause, nullif(@canary::bigint, 0), @failures, @tried_at, @next_at)
ON CONFLICT (cause) DO UPDATE SET canary = excluded.canary, failures = excluded.failures, tried_at = excluded.tried_at,
       next_at = excluded.next_at;

-- name: ListUnrecordedEnds :many
SELECT e.id AS email_id, e.workflow_id, r.id AS replay_id, coalesce(r.intent_id, 0)::bigint AS intent,
       (r.state NOT IN ('running', 'paused'))::bool AS over,
       EXISTS (SELECT FROM decisions d WHERE d.email_id = e.id AND d.intent_id = r.intent_id)::bool AS told
  FROM replay_items i JOIN replays r ON r.id = i.replay_id JOIN emails e ON e.id = i.email_id
 WHERE i.state = 'claimed' AND i.claimed_at < now() - @age::interval
   AND r.action = 'discard' AND r.intent_id IS NOT NULL
   AND (r.state = 'paused' OR r.state <> 'running' AND r.ended_at < now() - @age::interval)
 ORDER BY r.state = 'paused', random() LIMIT @max_rows::bigint;
