-- +goose Up

-- Bearer tokens that an admin made. The text of a token is shown once and kept
-- nowhere; a name is never given again, because decisions are kept under it.
CREATE TABLE tokens (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text        NOT NULL UNIQUE CHECK (name <> ''),
    sha256       bytea       NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    -- By tenant, "*" for every tenant.
    roles        jsonb       NOT NULL CHECK (jsonb_typeof(roles) = 'object' AND roles <> '{}'),
    created_by   text        NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz CHECK (expires_at > created_at),
    revoked_by   text        NOT NULL DEFAULT '',
    revoked_at   timestamptz,
    last_used_at timestamptz
);

-- Who is logged in. The cookie is kept as its hash.
CREATE TABLE sessions (
    sha256       bytea       PRIMARY KEY CHECK (octet_length(sha256) = 32),
    -- The hash of the bearer token that the session was made from and lives with;
    -- null for a person whom the OpenID provider vouched for.
    token_sha256 bytea       CHECK (octet_length(token_sha256) = 32),
    name         text        NOT NULL CHECK (name <> ''),
    display      text        NOT NULL,
    -- Those of the provider's groups that the configuration named at the login.
    groups       text[]      NOT NULL,
    csrf         text        NOT NULL,
    created_at   timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_end ON sessions (expires_at);

-- Logins at the OpenID provider that have begun and not come back.
CREATE TABLE logins (
    state_sha256   bytea       PRIMARY KEY CHECK (octet_length(state_sha256) = 32),
    -- The browser that began it, by the hash of its cookie.
    browser_sha256 bytea       NOT NULL CHECK (octet_length(browser_sha256) = 32),
    verifier       text        NOT NULL,
    nonce          text        NOT NULL,
    next           text        NOT NULL,
    expires_at     timestamptz NOT NULL
);
CREATE INDEX logins_end ON logins (expires_at);

-- +goose Down
DROP TABLE logins;
DROP TABLE sessions;
DROP TABLE tokens;
