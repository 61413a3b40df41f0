-- name: ListDeliveries :many
SELECT effect, state, idempotency_key, attempts, last_status, last_error, next_attempt_at, delivered_at, content_sha256,
       updated_at
  FROM deliveries WHERE email_id = @email_id AND destination = @destination ORDER BY updated_at, effect;

-- SaveDelivery leaves a delivery that has ended as it is. A call becomes a row of its
-- own, once however often it is saved.
-- name: SaveDelivery :execrows
WITH called AS (
    INSERT INTO attempts (email_id, destination, effect, number, at, took_ms, status, code)
    SELECT @email_id::bigint, @destination::text, @effect::text, greatest(coalesce(max(a.number), 0) + 1, @attempts::int),
           sqlc.narg(called_at)::timestamptz, @took_ms::bigint, @call_status::int, @code::text
      FROM attempts a WHERE a.email_id = @email_id::bigint AND a.destination = @destination::text AND a.effect = @effect::text
    HAVING sqlc.narg(called_at)::timestamptz IS NOT NULL
       AND count(*) FILTER (WHERE a.at = sqlc.narg(called_at)::timestamptz) = 0
    ON CONFLICT DO NOTHING
)
INSERT INTO deliveries AS d (email_id, destination, effect, state, idempotency_key, attempts, last_status, last_error,
       next_attempt_at, delivered_at, content_sha256)
VALUES (@email_id::bigint, @destination::text, @effect::text, @state::text, @idempotency_key, @attempts::int, @last_status,
       @last_error, @next_attempt_at, @delivered_at, @content_sha256)
ON CONFLICT (email_id, destination, effect) DO UPDATE SET state = excluded.state, idempotency_key = excluded.idempotency_key,
       attempts = excluded.attempts, last_status = excluded.last_status, last_error = excluded.last_error,
       next_attempt_at = excluded.next_attempt_at, delivered_at = excluded.delivered_at,
       content_sha256 = coalesce(excluded.content_sha256, d.content_sha256), updated_at = now()
 WHERE d.state NOT IN ('delivered', 'skipped');

-- name: ListEmailDestinations :many
SELECT DISTINCT destination FROM deliveries WHERE email_id = @email_id ORDER BY destination;

-- CountBacklogs counts, by destination, the open emails that it has not accepted.
-- name: CountBacklogs :many
SELECT d.destination, count(*) FILTER (WHERE e.state = 'retrying') AS retrying,
       count(*) FILTER (WHERE e.state = 'quarantined') AS held, min(e.received_at)::timestamptz AS oldest,
       coalesce(min(d.next_attempt_at) FILTER (WHERE e.state = 'retrying'), 'epoch')::timestamptz AS next_attempt_at
  FROM deliveries d JOIN emails e ON e.id = d.email_id
 WHERE d.state NOT IN ('delivered', 'skipped') AND e.state IN ('retrying', 'quarantined')
   AND (sqlc.narg(tenants)::text[] IS NULL OR e.tenant = ANY(sqlc.narg(tenants)::text[]))
 GROUP BY d.destination;

-- ShowDeliveries has the code of the last call of each delivery, empty without a call or
-- after a success.
-- name: ShowDeliveries :many
SELECT d.destination, d.effect, d.state, d.attempts, d.last_status, d.last_error, d.next_attempt_at, d.delivered_at,
       d.idempotency_key,
       coalesce((SELECT a.code FROM attempts a
                  WHERE a.email_id = d.email_id AND a.destination = d.destination AND a.effect = d.effect
                  ORDER BY a.number DESC LIMIT 1), '')::text AS last_code
  FROM deliveries d WHERE d.email_id = @email_id ORDER BY d.destination, d.updated_at, d.effect;

-- SavePause extends the pause that a delivery waits in, or begins one. Checks that come
-- within a minute after the wait that was meant belong to the same pause.
-- name: SavePause :exec
INSERT INTO waits (email_id, cause, began, ended)
SELECT @email_id::bigint, @cause::text,
       coalesce((SELECT max(w.began) FROM waits w
                  WHERE w.email_id = @email_id::bigint AND w.cause = @cause::text AND w.ended >= now() - interval '1 minute'), now()),
       @until::timestamptz
ON CONFLICT (email_id, cause, began) DO UPDATE SET ended = greatest(waits.began, excluded.ended);

-- name: WaitedOf :many
SELECT id, waited_ms FROM emails WHERE id = ANY(@ids::bigint[]) AND waited_ms > 0;
