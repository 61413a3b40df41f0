-- name: InsertToken :execrows
INSERT INTO tokens (name, sha256, roles, created_by, owner, created_at, expires_at)
VALUES (@name, @sha256, @roles, @created_by, @owner, @created_at, @expires_at)
ON CONFLICT (name) DO NOTHING;

-- name: RevokeToken :execrows
UPDATE tokens SET revoked_at = @at::timestamptz, revoked_by = @by WHERE name = @name AND revoked_at IS NULL;

-- name: TokenExists :one
SELECT EXISTS (SELECT FROM tokens WHERE name = @name);

-- name: ListTokens :many
SELECT name, sha256, roles, created_by, coalesce(nullif(owner, ''), created_by)::text AS owner, created_at, expires_at,
       revoked_by, revoked_at, last_used_at
  FROM tokens ORDER BY name;

-- name: FindToken :one
SELECT name, sha256, roles, created_by, coalesce(nullif(owner, ''), created_by)::text AS owner, created_at, expires_at,
       revoked_by, revoked_at, last_used_at
  FROM tokens WHERE sha256 = @sha256;

-- name: TouchToken :exec
UPDATE tokens SET last_used_at = greatest(last_used_at, @at::timestamptz) WHERE sha256 = @sha256;

-- InsertSession also deletes some sessions that have ended.
-- name: InsertSession :exec
WITH ended AS (
    DELETE FROM sessions WHERE sha256 IN (
        SELECT sha256 FROM sessions WHERE expires_at < @created_at ORDER BY expires_at LIMIT @prune::bigint FOR UPDATE SKIP LOCKED)
)
INSERT INTO sessions (sha256, token_sha256, name, display, groups, csrf, created_at, seen_at, expires_at)
VALUES (@sha256, @token_sha256, @name, @display, @groups, @csrf, @created_at, @seen_at, @expires_at);

-- name: FindSession :one
SELECT token_sha256, name, display, groups, csrf, created_at, seen_at, expires_at FROM sessions WHERE sha256 = @sha256;

-- name: TouchSession :exec
UPDATE sessions SET seen_at = greatest(seen_at, @at::timestamptz) WHERE sha256 = @sha256;

-- name: DeleteSession :exec
DELETE FROM sessions WHERE sha256 = @sha256;

-- InsertLogin also deletes some logins that were not completed in time.
-- name: InsertLogin :exec
WITH ended AS (
    DELETE FROM logins WHERE state_sha256 IN (
        SELECT state_sha256 FROM logins WHERE expires_at < @now::timestamptz ORDER BY expires_at LIMIT @prune::bigint FOR UPDATE SKIP LOCKED)
)
INSERT INTO logins (state_sha256, browser_sha256, verifier, nonce, next, expires_at)
VALUES (@state, @browser, @verifier, @nonce, @next, @expires_at);

-- name: TakeLogin :one
DELETE FROM logins WHERE state_sha256 = @state RETURNING browser_sha256, verifier, nonce, next, expires_at;
