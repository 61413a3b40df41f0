-- +goose Up

-- What a search looks in: event id, message id, subject, sender and recipients,
-- each a line, in lower case (searchText in search.go makes it).
--
-- Trigrams of a line cost more to index one by one than the whole store step does.
-- Hence two tables: the store step writes into the one without such an index, and
-- a worker moves what came there every few seconds, many rows at a time.
CREATE TABLE email_search (
    email_id bigint PRIMARY KEY REFERENCES emails (id) ON DELETE CASCADE,
    text     text   NOT NULL
);
CREATE TABLE email_search_new (
    email_id bigint PRIMARY KEY REFERENCES emails (id) ON DELETE CASCADE,
    text     text   NOT NULL
) WITH (
    -- A row lives for seconds.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1
);

-- Makes the index of trigrams unless it is there, and says why where it cannot:
-- an empty text is success. pg_trgm comes with PostgreSQL's contrib modules, and
-- the owner of the database may create it. Without it a search reads every row of
-- email_search, which is right and slower. `mailroom migrate` calls this each time.
-- +goose StatementBegin
CREATE FUNCTION ensure_search_index() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('email_search_trigrams') IS NOT NULL THEN
        RETURN '';
    END IF;
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX email_search_trigrams ON email_search USING gin (text gin_trgm_ops) WITH (gin_pending_list_limit = 2048);
    RETURN '';
EXCEPTION WHEN undefined_file OR feature_not_supported OR insufficient_privilege OR undefined_object THEN
    RETURN SQLERRM;
END
$$;
-- +goose StatementEnd
SELECT ensure_search_index();

INSERT INTO email_search_new (email_id, text)
SELECT id, lower(concat_ws(E'\n', translate(event_id, E'\n\r', '  '),
           CASE WHEN message_id = '' THEN '' ELSE '<' || btrim(translate(message_id, E'\n\r', '  '), '<> ') || '>' END,
           translate(left(subject, 2000), E'\n\r', '  '), translate(left(sender, 1000), E'\n\r', '  '),
           translate(left(array_to_string(recipients, ' '), 16000), E'\n\r', '  ')))
  FROM emails WHERE raw_key <> '';

-- Every filter on what does not change is answered out of this index alone, which
-- is a twentieth of the table; so are the rates of the overview.
CREATE INDEX emails_received ON emails (received_at, tenant, source, id);
-- In place of the index of what is open: emails are counted and listed by any
-- state, again without the table.
CREATE INDEX emails_state ON emails (state, reason, tenant, id);
DROP INDEX emails_open;
CREATE INDEX emails_closed ON emails (closed_at, received_at, tenant, state) WHERE closed_at IS NOT NULL;

CREATE INDEX deliveries_destination ON deliveries (destination, email_id);
-- What a destination still owes an answer to, a small part of the table.
CREATE INDEX deliveries_open ON deliveries (destination, email_id) WHERE state <> 'delivered';

-- What people told the workers about a destination. Without a row nothing holds.
CREATE TABLE destination_controls (
    destination text        PRIMARY KEY,
    paused      boolean     NOT NULL,
    actor       text        NOT NULL,
    note        text        NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);

-- What each worker knows of each destination, written anew every few seconds. A
-- worker that has gone leaves rows that the others delete.
CREATE TABLE destination_status (
    destination     text        NOT NULL,
    worker          text        NOT NULL,
    breaker         text        NOT NULL CHECK (breaker IN ('closed', 'half_open', 'open')),
    in_flight       integer     NOT NULL,
    -- The destination said 410: nothing is sent until then, unless somebody resumes it.
    gone_until      timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_failure    text        NOT NULL DEFAULT '',
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (destination, worker)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

-- +goose Down
DROP TABLE destination_status, destination_controls;
DROP INDEX deliveries_open, deliveries_destination, emails_closed, emails_state, emails_received;
CREATE INDEX emails_open ON emails (state, reason, id) WHERE state IN ('retrying', 'quarantined');
DROP FUNCTION ensure_search_index;
DROP TABLE email_search_new, email_search;
