-- name: ListAttachments :many
SELECT filename, content_type, content_id, url, declared_size, declared_sha256, key, size, sha256, detected_type,
       verdict, signature
  FROM attachments WHERE email_id = @email_id ORDER BY ordinal;

-- FindBody says where the raw body of an email is.
-- name: FindBody :one
SELECT e.body_sha256, e.received_at, (i.email_id IS NULL)::bool AS stored, i.body AS inline,
       (SELECT r.number FROM object_removals r)::bigint AS removals,
       (CASE WHEN i.email_id IS NULL THEN e.raw_key ELSE coalesce(i.body_key, '') END)::text AS key,
       (SELECT jsonb_agg(jsonb_build_object('edit', d.edit, 'by', d.actor, 'at', d.applied_at) ORDER BY d.applied_at, d.id)
          FROM edits d WHERE d.email_id = e.id AND d.applied_at IS NOT NULL) AS edits
  FROM emails e LEFT JOIN inbox i ON i.email_id = e.id
 WHERE e.id = @id;

-- EarlierExists reads one row for each source and event, however many conflicting bodies
-- have the id.
-- name: EarlierExists :one
SELECT (EXISTS (SELECT FROM emails WHERE event_id = ANY (@events::text[]) AND conflict_of IS NULL AND tenant = @tenant::text AND id < @id::bigint)
    OR EXISTS (SELECT FROM emails WHERE id = ANY (@ids::bigint[]) AND tenant = @tenant::text AND id < @id::bigint))::bool;

-- name: SaveLeftOut :execrows
UPDATE emails SET foreign_recipients = nullif(@foreign_recipients::text[], '{}'), unmatched_recipients = nullif(@unmatched_recipients::text[], '{}')
 WHERE id = @id;

-- name: SaveVerdicts :execrows
UPDATE attachments a SET detected_type = n.detected_type, verdict = n.verdict, signature = n.signature
  FROM (SELECT unnest(@ordinal::int[]) AS ordinal, unnest(@detected_type::text[]) AS detected_type, unnest(@verdict::text[]) AS verdict,
               unnest(@signature::text[]) AS signature, unnest(@sha256::text[]) AS sha256) n
 WHERE a.email_id = @email_id::bigint AND a.ordinal = n.ordinal AND a.sha256 = n.sha256;
