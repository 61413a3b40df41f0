-- The order is that of the key, so that two ingresses cannot deadlock.
-- name: AddAuthFailures :exec
WITH n AS (
    SELECT unnest(@hours::timestamptz[]) AS hour, unnest(@sources::text[]) AS source, unnest(@schemes::text[]) AS scheme,
           unnest(@codes::text[]) AS code, unnest(@addresses::text[]) AS address, unnest(@counts::bigint[]) AS count,
           unnest(@firsts::timestamptz[]) AS first_at, unnest(@lasts::timestamptz[]) AS last_at
)
INSERT INTO verification_failures AS kept (hour, source, scheme, code, address, count, first_at, last_at)
SELECT n.hour, n.source, n.scheme, n.code, n.address, sum(n.count)::bigint, min(n.first_at), max(n.last_at) FROM n
 GROUP BY n.hour, n.source, n.scheme, n.code, n.address
 ORDER BY n.hour, n.source, n.scheme, n.code, n.address
    ON CONFLICT (hour, source, scheme, code, address) DO UPDATE
   SET count = kept.count + excluded.count,
       first_at = least(kept.first_at, excluded.first_at), last_at = greatest(kept.last_at, excluded.last_at);

-- name: ListAuthFailures :many
SELECT hour, source, scheme, code, address, count, first_at, last_at
  FROM verification_failures
 WHERE hour > sqlc.arg(since)::timestamptz - interval '1 hour' AND last_at >= sqlc.arg(since)::timestamptz AND source = @source
 ORDER BY hour DESC, last_at DESC, scheme, code, address
 LIMIT @max_rows::bigint;

-- name: CountAuthFailures :many
SELECT source, code, sum(count)::bigint AS count
  FROM verification_failures
 WHERE hour > sqlc.arg(since)::timestamptz - interval '1 hour' AND last_at >= sqlc.arg(since)::timestamptz
 GROUP BY source, code;

-- name: PruneAuthFailures :execrows
DELETE FROM verification_failures
 WHERE ctid = ANY(ARRAY(
    SELECT f.ctid FROM verification_failures f
     WHERE f.hour <= sqlc.arg(before)::timestamptz - interval '1 hour'
     ORDER BY f.hour LIMIT @max_rows::bigint FOR UPDATE SKIP LOCKED));
