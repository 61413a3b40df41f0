-- SaveWorkerReport also deletes the reports of workers that have been silent for long.
-- name: SaveWorkerReport :exec
WITH forgotten AS (
    DELETE FROM worker_reports WHERE updated_at < now() - @kept::interval AND worker <> @worker::text
)
INSERT INTO worker_reports (worker, checks, updated_at) VALUES (@worker::text, @checks::jsonb, now())
ON CONFLICT (worker) DO UPDATE SET checks = excluded.checks, updated_at = excluded.updated_at;

-- name: DeleteWorkerReport :exec
DELETE FROM worker_reports WHERE worker = @worker;

-- name: ListWorkerReports :many
SELECT worker, checks, updated_at, (updated_at > now() - @fresh::interval)::bool AS fresh FROM worker_reports ORDER BY worker;
