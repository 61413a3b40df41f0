-- FindBackfill returns what the ledger has for a workflow: the hash of the first body of
-- its event id, whether it knows the workflow's own body, and the row under its id. It
-- marks that row as started, because its workflow is the caller.
-- name: FindBackfill :one
WITH known AS MATERIALIZED (
    SELECT id, workflow_id, source, event_id, tenant, correlation_id, size, received_at, state, conflict_of, body_sha256
      FROM emails WHERE event_id = @event_id::text AND source = @source::text AND conflict_of IS NULL
    UNION ALL
    SELECT id, workflow_id, source, event_id, tenant, correlation_id, size, received_at, state, conflict_of, body_sha256
      FROM emails WHERE event_id = @event_id::text AND source = @source::text AND conflict_of IS NOT NULL
       AND (workflow_id = @workflow_id::text OR body_sha256 = @sha256::bytea)
), mine AS MATERIALIZED (
    SELECT k.id, k.workflow_id, k.source, k.event_id, k.tenant, k.correlation_id, k.size, k.received_at, k.state, k.conflict_of,
           k.body_sha256
      FROM known k WHERE k.workflow_id = @workflow_id::text ORDER BY (k.body_sha256 = @sha256::bytea) DESC LIMIT 1
), first AS MATERIALIZED (
    SELECT known.body_sha256 FROM known WHERE known.conflict_of IS NULL
), same AS MATERIALIZED (
    SELECT count(*) AS bodies FROM known WHERE known.body_sha256 = @sha256::bytea
), started AS (
    UPDATE inbox i SET started_at = coalesce(i.started_at, now()) FROM mine WHERE i.email_id = mine.id
    RETURNING i.hold_reason, i.hold_detail
)
SELECT coalesce(f.body_sha256, '')::bytea AS first_sha256,
       (b.bodies > 0)::bool AS same_body_known,
       coalesce(m.id, 0)::bigint AS id, coalesce(m.workflow_id, '')::text AS workflow_id, coalesce(m.source, '')::text AS source,
       coalesce(m.event_id, '')::text AS event_id, coalesce(m.tenant, '')::text AS tenant,
       coalesce(m.correlation_id, '')::text AS correlation_id, coalesce(m.size, 0)::bigint AS size,
       coalesce(m.received_at, 'epoch')::timestamptz AS received_at, coalesce(m.state, '')::text AS state,
       (m.conflict_of IS NOT NULL)::bool AS conflict, coalesce(m.body_sha256 = @sha256::bytea, false)::bool AS same_body,
       (s.hold_reason IS NOT NULL)::bool AS waiting, coalesce(s.hold_reason, '')::text AS hold_reason,
       coalesce(s.hold_detail, '')::text AS hold_detail
  FROM same b LEFT JOIN first f ON true LEFT JOIN mine m ON true LEFT JOIN started s ON true;

-- InsertTombstone inserts the row of an email without a body where the event id is free
-- (plain) or, for a conflict, where another body has it.
-- name: InsertTombstone :exec
INSERT INTO emails (source, event_id, body_sha256, conflict_of, workflow_id, tenant, correlation_id, size, received_at,
       verified_scheme, verified_key, verified_ref)
SELECT @source::text, @event_id::text, @sha256::bytea, o.id, @workflow_id::text, @tenant::text, @correlation_id::text,
       @size::bigint, @received_at::timestamptz, @scheme::text, @key::int, @ref::text
  FROM (SELECT 1) one LEFT JOIN emails o ON o.event_id = @event_id::text AND o.source = @source::text AND o.conflict_of IS NULL
 WHERE CASE WHEN @plain::bool THEN o.id IS NULL ELSE o.body_sha256 <> @sha256::bytea END
ON CONFLICT DO NOTHING;
