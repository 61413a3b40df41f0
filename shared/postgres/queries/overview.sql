-- The statements of the overview read indexes alone. tenants is null for every tenant.

-- name: CountAccepted :many
SELECT date_trunc('minute', received_at)::timestamptz AS at, count(*) FROM emails
 WHERE received_at >= @since AND (sqlc.narg(tenants)::text[] IS NULL OR tenant = ANY(sqlc.narg(tenants)::text[])) GROUP BY 1;

-- name: CountDelivered :many
SELECT date_trunc('minute', closed_at)::timestamptz AS at, count(*) FROM emails
 WHERE closed_at >= @since::timestamptz AND state = 'delivered'
   AND (sqlc.narg(tenants)::text[] IS NULL OR tenant = ANY(sqlc.narg(tenants)::text[])) GROUP BY 1;

-- name: CountHeld :many
SELECT date_trunc('minute', received_at)::timestamptz AS at, count(*) FROM emails
 WHERE received_at >= @since AND state = 'quarantined'
   AND (sqlc.narg(tenants)::text[] IS NULL OR tenant = ANY(sqlc.narg(tenants)::text[])) GROUP BY 1;

-- MeasureLatency leaves out the time in which an email waited for people.
-- name: MeasureLatency :one
SELECT count(*) AS count, count(*) FILTER (WHERE ended.took <= @objective::float8) AS within,
       coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY ended.took), 0)::float8 AS p50,
       coalesce(percentile_cont(0.95) WITHIN GROUP (ORDER BY ended.took), 0)::float8 AS p95,
       coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY ended.took), 0)::float8 AS p99
  FROM (SELECT greatest(extract(epoch FROM closed_at - received_at)::float8 - waited_ms / 1000.0, 0) AS took FROM emails
         WHERE closed_at >= @since::timestamptz AND state = 'delivered'
           AND (sqlc.narg(tenants)::text[] IS NULL OR tenant = ANY(sqlc.narg(tenants)::text[]))) ended;

-- name: CountStates :many
SELECT state, count(*) FROM emails
 WHERE sqlc.narg(tenants)::text[] IS NULL OR tenant = ANY(sqlc.narg(tenants)::text[]) GROUP BY state;

-- name: CountReasons :many
SELECT state, reason, count(*) AS count, min(received_at)::timestamptz AS oldest FROM emails
 WHERE state IN ('quarantined', 'retrying') AND (sqlc.narg(tenants)::text[] IS NULL OR tenant = ANY(sqlc.narg(tenants)::text[]))
 GROUP BY state, reason ORDER BY count(*) DESC, reason;

-- name: CountAttention :one
SELECT count(*) FILTER (WHERE attention = @reminded::smallint) AS reminded,
       count(*) FILTER (WHERE attention = @escalated::smallint) AS escalated, min(received_at) AS oldest
  FROM emails WHERE attention > 0 AND (sqlc.narg(tenants)::text[] IS NULL OR tenant = ANY(sqlc.narg(tenants)::text[]));

-- name: MeasureWaiting :one
SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(i.accepted_at)), 0)::float8 AS oldest_seconds
  FROM inbox i JOIN emails e ON e.id = i.email_id
 WHERE i.started_at IS NULL AND i.claimed_until IS DISTINCT FROM 'infinity'
   AND (sqlc.narg(tenants)::text[] IS NULL OR e.tenant = ANY(sqlc.narg(tenants)::text[]));

-- CountOpen reads a partial index of the emails that wait.
-- name: CountOpen :many
SELECT state, reason, count(*) AS count FROM emails
 WHERE state IN ('retrying', 'quarantined')
 GROUP BY state, reason;

-- name: NextEmailID :one
SELECT (coalesce(max(id), 0) + 1)::bigint AS id FROM emails;

-- name: IndexSearch :execrows
WITH moved AS (
    DELETE FROM email_search_new WHERE email_id = ANY(ARRAY(
        SELECT n.email_id FROM email_search_new n ORDER BY n.email_id LIMIT @max_rows::bigint FOR UPDATE SKIP LOCKED))
    RETURNING email_id, text
)
INSERT INTO email_search (email_id, text) SELECT m.email_id, m.text FROM moved m
ON CONFLICT (email_id) DO UPDATE SET text = excluded.text;

-- The statements of a Pulse.

-- name: PulseEmails :one
SELECT coalesce(max(id), 0)::bigint FROM emails;

-- name: PulseHeld :one
SELECT count(*) AS held, coalesce(sum(id), 0)::text AS ids FROM emails WHERE state = 'quarantined';

-- name: PulseDecisions :one
SELECT coalesce(max(id), 0)::bigint FROM decisions;

-- name: PulseWatched :many
SELECT e.id, concat_ws('/', e.sequence, e.state, e.raw_key <> '', (SELECT count(*) FROM attachments a WHERE a.email_id = e.id AND a.verdict <> ''),
       (SELECT concat(max(d.updated_at), sum(d.attempts)) FROM deliveries d WHERE d.email_id = e.id),
       (SELECT max(c.id) FROM decisions c WHERE c.email_id = e.id),
       (SELECT sum(u.count) FROM unknown_signals u WHERE u.email_id = e.id))::text AS state
  FROM emails e WHERE e.id = ANY(@ids::bigint[]);
