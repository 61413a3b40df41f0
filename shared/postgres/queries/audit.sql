-- name: AppendAudit :one
SELECT audit_append(@kind::text, @email_id::bigint, @tenant::text, @actor::text, @via::text, @body::jsonb)::bigint AS seq;

-- name: ListAudit :many
SELECT seq, (extract(epoch FROM at) * 1000000)::bigint AS at_unix_micro, kind, email_id, event_id, source, tenant, actor, via,
       body, content_hash, prev_hash, hash
  FROM audit WHERE seq > @after ORDER BY seq LIMIT @max_rows::bigint;

-- name: ListEmailAudit :many
SELECT seq, (extract(epoch FROM at) * 1000000)::bigint AS at_unix_micro, kind, email_id, event_id, source, tenant, actor, via,
       body, content_hash, prev_hash, hash
  FROM audit WHERE email_id = @email_id AND email_id <> 0 AND seq <= @head ORDER BY seq;

-- name: ListAuditLinks :many
SELECT content_hash FROM audit WHERE seq BETWEEN @first AND @head ORDER BY seq;

-- name: AuditHead :one
SELECT seq, hash FROM audit_head;

-- name: LockAudit :exec
SELECT FROM audit_head FOR UPDATE;

-- ExportEmail and the statements after it read what an export contains.
-- name: ExportEmail :one
SELECT event_id, source, tenant, workflow_id, correlation_id, message_id, received_at, now()::timestamptz AS exported_at, state, reason,
       closed_at, encode(body_sha256, 'hex') AS sha256, size, mime_key, verified_scheme, verified_key, verified_ref, stored_at,
       parser, inspected_at, scanner, scanner_database, raw_view, routed_at, rules_version, routes
  FROM emails WHERE id = @id;

-- name: ExportAttachments :many
SELECT filename, sha256, size, content_type, detected_type, verdict, signature
  FROM attachments WHERE email_id = @id ORDER BY ordinal;

-- name: ExportDeliveries :many
SELECT destination, effect, state, idempotency_key, coalesce(encode(content_sha256, 'hex'), '')::text AS content_sha256, delivered_at
  FROM deliveries WHERE email_id = @id ORDER BY destination, effect;

-- name: ExportAttempts :many
SELECT destination, effect, number, at, took_ms, status, code FROM attempts WHERE email_id = @id
 ORDER BY destination, effect, number;

-- name: ExportDecisions :many
SELECT d.decided_at AS at, d.action, d.actor, d.via, d.note, d.reason, d.state_before AS before, d.state_after AS after,
       d.sequence, coalesce(a.seq, 0)::bigint AS seq
  FROM decisions d LEFT JOIN audit a ON a.email_id = d.email_id AND a.kind = 'decision'
   AND (a.body::jsonb ->> 'sequence')::bigint = d.sequence
 WHERE d.email_id = @id ORDER BY d.sequence;

-- name: ExportStates :many
SELECT at, state, reason, detail FROM transitions WHERE email_id = @id ORDER BY sequence;

-- name: CountDecisions :one
SELECT count(*) FROM decisions;

-- CompareDecisions returns differences between the rows of decisions and the chain.
-- name: CompareDecisions :many
WITH entries AS (
    SELECT a.seq, a.email_id, (a.body::jsonb ->> 'sequence')::bigint AS sequence, a.body::jsonb AS body FROM audit a WHERE a.kind = 'decision'
)
SELECT coalesce(e.seq, 0)::bigint AS seq, coalesce(d.email_id, e.email_id)::bigint AS email_id,
       coalesce(d.sequence, e.sequence)::bigint AS sequence,
       (CASE WHEN e.seq IS NULL THEN 'unchained' WHEN d.id IS NULL THEN 'missing' ELSE 'changed' END)::text AS what
  FROM decisions d FULL JOIN entries e ON e.email_id = d.email_id AND e.sequence = d.sequence
 WHERE e.seq IS NULL OR d.id IS NULL OR NOT audit_decision(d) @> e.body
 ORDER BY 1, 2, 3 LIMIT @max_rows::bigint;
