-- ListControls leaves out what an operator's later word has overruled.
-- name: ListControls :many
SELECT coalesce(c.destination, g.destination, a.destination)::text AS destination, coalesce(c.paused, false)::bool AS paused,
       coalesce(c.actor, '')::text AS actor, coalesce(c.note, '')::text AS note, coalesce(c.at, 'epoch')::timestamptz AS at,
       coalesce(CASE WHEN g.until > now() AND (c.at IS NULL OR c.paused OR g.at > c.at) THEN g.until END, 'epoch')::timestamptz AS gone_until,
       coalesce(a.recovered_at, 'epoch')::timestamptz AS recovered_at, coalesce(a.asked_at, 'epoch')::timestamptz AS asked_at,
       coalesce(a.asked_until, 'epoch')::timestamptz AS asked_until
  FROM destination_controls c FULL JOIN gone_destinations g ON g.destination = c.destination
       FULL JOIN destination_answers a ON a.destination = coalesce(c.destination, g.destination)
 ORDER BY 1;

-- name: SetControl :exec
INSERT INTO destination_controls (destination, paused, actor, note) VALUES (@destination, @paused, @actor, @note)
ON CONFLICT (destination) DO UPDATE SET paused = excluded.paused, actor = excluded.actor, note = excluded.note,
       at = clock_timestamp();

-- name: SaveGone :exec
INSERT INTO gone_destinations (destination, at, until)
VALUES (@destination, clock_timestamp(), clock_timestamp() + @lasts::interval)
ON CONFLICT (destination) DO UPDATE SET at = excluded.at, until = excluded.until;

-- SaveRecovered also ends the stop after a 410.
-- name: SaveRecovered :exec
WITH ended AS (
    DELETE FROM gone_destinations g WHERE g.destination = @destination::text
)
INSERT INTO destination_answers (destination, recovered_at) VALUES (@destination::text, clock_timestamp())
ON CONFLICT (destination) DO UPDATE SET recovered_at = excluded.recovered_at, asked_at = NULL, asked_until = NULL;

-- name: SaveAsked :exec
INSERT INTO destination_answers (destination, asked_at, asked_until)
VALUES (@destination, clock_timestamp(), clock_timestamp() + @wait::interval)
ON CONFLICT (destination) DO UPDATE SET asked_at = excluded.asked_at, asked_until = excluded.asked_until;

-- The epoch stands for no time in arrays and in expressions that may be null.
-- SaveDestinationStatus also deletes the status of workers that have been silent for long.
-- name: SaveDestinationStatus :exec
WITH forgotten AS (
    DELETE FROM destination_status WHERE updated_at < now() - @kept::interval
)
INSERT INTO destination_status (destination, worker, breaker, in_flight, probe_at, gone_until, last_success_at, last_failure_at,
       last_failure, updated_at)
SELECT n.destination, @worker::text, n.breaker, n.in_flight, nullif(n.probe_at, 'epoch'), nullif(n.gone_until, 'epoch'),
       nullif(n.last_success_at, 'epoch'), nullif(n.last_failure_at, 'epoch'), n.last_failure, now()
  FROM (SELECT unnest(@destination::text[]) AS destination, unnest(@breaker::text[]) AS breaker, unnest(@in_flight::int[]) AS in_flight,
               unnest(@probe_at::timestamptz[]) AS probe_at, unnest(@gone_until::timestamptz[]) AS gone_until, unnest(@last_success_at::timestamptz[]) AS last_success_at,
               unnest(@last_failure_at::timestamptz[]) AS last_failure_at, unnest(@last_failure::text[]) AS last_failure) n
ON CONFLICT (destination, worker) DO UPDATE SET breaker = excluded.breaker, in_flight = excluded.in_flight,
       probe_at = excluded.probe_at, gone_until = excluded.gone_until, last_success_at = excluded.last_success_at,
       last_failure_at = excluded.last_failure_at, last_failure = excluded.last_failure, updated_at = excluded.updated_at;

-- name: ListDestinationStatus :many
SELECT destination, worker, breaker, in_flight, probe_at, coalesce(CASE WHEN gone_until > now() THEN gone_until END, 'epoch')::timestamptz AS gone_until,
       last_success_at, last_failure_at, last_failure, updated_at, (updated_at > now() - @fresh::interval)::bool AS fresh
  FROM destination_status ORDER BY destination, worker;
