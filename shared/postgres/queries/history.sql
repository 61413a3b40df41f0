-- The statements of a History, all about one email.

-- name: HistoryOfEmail :one
SELECT size, encode(body_sha256, 'hex') AS sha256, received_at, verified_scheme, verified_key, verified_ref, parser, stored_at,
       scanner, scanner_database, raw_view, inspected_at, routes, rules_version, routed_at, state, closed_at,
       coalesce(unmatched_recipients, '{}')::text[] AS unmatched
  FROM emails WHERE id = @id;

-- name: HistoryOfVerdicts :many
SELECT verdict, count(*) FROM attachments WHERE email_id = @email_id GROUP BY verdict ORDER BY verdict;

-- name: HistoryOfAttempts :many
SELECT destination, effect, number, at, took_ms, status, code FROM attempts WHERE email_id = @email_id;

-- HistoryOfSteps has the runs of steps that a later one has replaced.
-- name: HistoryOfSteps :many
SELECT step, at, tool, tool_database, raw_view, routes FROM past_steps WHERE email_id = @email_id;

-- HistoryOfDeliveries has every end of a delivery, also one that a later attempt has replaced.
-- name: HistoryOfDeliveries :many
SELECT d.destination, d.state, d.attempts, d.last_error, coalesce(d.delivered_at, d.updated_at)::timestamptz AS at
  FROM deliveries d WHERE d.email_id = @email_id AND d.state IN ('delivered', 'rejected', 'ambiguous')
UNION ALL
SELECT p.destination, p.state, p.attempts, p.last_error, p.at FROM past_ends p WHERE p.email_id = @email_id;

-- name: HistoryOfStates :many
SELECT at, state, reason, detail FROM transitions WHERE email_id = @email_id;

-- name: HistoryOfDecisions :many
SELECT decided_at AS at, action, actor, via, note, reason FROM decisions WHERE email_id = @email_id;

-- name: HistoryOfReminders :many
SELECT at, level, number, deadline, since, reasons FROM reminders WHERE email_id = @email_id;

-- name: HistoryOfEdits :many
SELECT created_at AS at, actor, (applied_at IS NOT NULL)::bool AS applied,
       (SELECT coalesce(array_agg(c ->> 'field'), '{}') FROM jsonb_array_elements(changes) c)::text[] AS fields
  FROM edits WHERE email_id = @email_id;

-- name: HistoryOfReplays :many
SELECT coalesce(i.claimed_at, i.at)::timestamptz AS at, r.id AS replay_id, r.actor, r.via, r.action, r.from_step, r.new_effect, i.state, i.code
  FROM replay_items i JOIN replays r ON r.id = i.replay_id WHERE i.email_id = @email_id;

-- name: HistoryOfSignals :many
SELECT name, count, first_at AS at, last_at FROM unknown_signals WHERE email_id = @email_id;

-- SaveUnknownSignals never lowers a count.
-- name: SaveUnknownSignals :exec
INSERT INTO unknown_signals AS s (email_id, name, count, first_at, last_at)
SELECT e.id, n.name, n.count, n.first_at, n.last_at
  FROM emails e, ROWS FROM (unnest(@names::text[]), unnest(@counts::bigint[]), unnest(@first_at::timestamptz[]),
       unnest(@last_at::timestamptz[])) AS n (name, count, first_at, last_at)
 WHERE e.id = @email_id::bigint
ON CONFLICT (email_id, name) DO UPDATE SET count = greatest(s.count, excluded.count),
       first_at = least(s.first_at, excluded.first_at), last_at = greatest(s.last_at, excluded.last_at);
