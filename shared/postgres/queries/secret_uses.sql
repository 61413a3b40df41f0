-- The order is that of the key, so that two ingresses cannot deadlock.
-- name: SaveSecretUses :exec
INSERT INTO secret_uses AS kept (source, ref, scheme, used_at)
SELECT n.source, n.ref, n.scheme, n.used_at
  FROM (SELECT unnest(@sources::text[]) AS source, unnest(@refs::text[]) AS ref, unnest(@schemes::text[]) AS scheme,
               unnest(@times::timestamptz[]) AS used_at) n
 ORDER BY n.source, n.ref, n.scheme
    ON CONFLICT (source, ref, scheme) DO UPDATE SET used_at = excluded.used_at WHERE kept.used_at < excluded.used_at;

-- name: ListSecretUses :many
SELECT source, ref, scheme, used_at FROM secret_uses WHERE source = ANY(@sources::text[]) ORDER BY source, ref, scheme LIMIT @max_rows::bigint;
