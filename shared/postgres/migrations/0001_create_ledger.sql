-- +goose Up

-- One row per accepted event, for ever: permanent dedup and ledger in one.
CREATE TABLE emails (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source         text        NOT NULL,
    event_id       text        NOT NULL,
    body_sha256    bytea       NOT NULL CHECK (octet_length(body_sha256) = 32),
    -- The first row of the same id, when this one came with another body.
    conflict_of    bigint,
    workflow_id    text        NOT NULL,
    tenant         text        NOT NULL,
    correlation_id text        NOT NULL,
    size           bigint      NOT NULL CHECK (size >= 0),
    received_at    timestamptz NOT NULL,

    state          text        NOT NULL DEFAULT 'processing'
        CHECK (state IN ('processing', 'retrying', 'quarantined', 'delivered', 'discarded', 'duplicate')),
    reason         text        NOT NULL DEFAULT '',
    detail         text        NOT NULL DEFAULT '',
    -- Counts the changes of state inside the workflow; an older one never overwrites a newer one.
    sequence       bigint      NOT NULL DEFAULT 0,
    closed_at      timestamptz,

    -- Set by the store step. message is the parsed mail as JSON without its
    -- attachments; a large one lies in the object store under message_key.
    raw_key        text        NOT NULL DEFAULT '',
    mime_key       text        NOT NULL DEFAULT '',
    message        bytea,
    message_key    text        NOT NULL DEFAULT '',
    message_id     text        NOT NULL DEFAULT '',
    subject        text        NOT NULL DEFAULT '',
    sender         text        NOT NULL DEFAULT '',
    recipients     text[]      NOT NULL DEFAULT '{}',
    routes         text[]      NOT NULL DEFAULT '{}'
) WITH (
    -- Each row is updated a few times soon after its insert: room for that on its page.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.1
);
-- Two indexes in place of one: the first row of an id is unique on it, a
-- conflicting one on its body as well. The id leads, so that an operator who
-- knows nothing but the id is served too.
CREATE UNIQUE INDEX emails_event ON emails (event_id, source) WHERE conflict_of IS NULL;
CREATE UNIQUE INDEX emails_event_conflict ON emails (event_id, source, body_sha256) WHERE conflict_of IS NOT NULL;
-- Conflicting rows share their id with the first; an operator names them by workflow.
CREATE INDEX emails_conflict_workflow ON emails (workflow_id) WHERE conflict_of IS NOT NULL;
-- What an operator looks for is what is not finished, a small part of the table.
CREATE INDEX emails_open ON emails (state, reason, id) WHERE state IN ('retrying', 'quarantined');

-- What is accepted and not yet safe in the object store. The row goes when it is.
CREATE TABLE inbox (
    email_id      bigint PRIMARY KEY REFERENCES emails (id) ON DELETE CASCADE,
    body          bytea,
    body_key      text,
    -- Why a person must look before the email goes on, known at the door.
    hold_reason   text        NOT NULL DEFAULT '',
    hold_detail   text        NOT NULL DEFAULT '',
    accepted_at   timestamptz NOT NULL DEFAULT now(),
    -- A starter that claims a row has until then to start it.
    claimed_until timestamptz,
    started_at    timestamptz,
    CHECK ((body IS NULL) <> (body_key IS NULL))
) WITH (
    -- A row lives for seconds and is updated once or twice, in place if its page
    -- has room and no index covers the columns (hence none on started_at).
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 20000,
    toast.autovacuum_vacuum_cost_delay = 0
);
-- A body is read once and deleted: compressing it is time lost.
ALTER TABLE inbox ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE attachments (
    email_id        bigint  NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    ordinal         integer NOT NULL CHECK (ordinal >= 0),
    filename        text    NOT NULL,
    content_type    text    NOT NULL DEFAULT '',
    content_id      text    NOT NULL DEFAULT '',
    url             text    NOT NULL DEFAULT '',
    declared_size   bigint  NOT NULL DEFAULT -1,
    declared_sha256 text    NOT NULL DEFAULT '',
    key             text    NOT NULL DEFAULT '',
    size            bigint  NOT NULL DEFAULT 0,
    sha256          text    NOT NULL DEFAULT '',
    detected_type   text    NOT NULL DEFAULT '',
    verdict         text    NOT NULL DEFAULT ''
        CHECK (verdict IN ('', 'clean', 'infected', 'suspicious', 'unscannable')),
    signature       text    NOT NULL DEFAULT '',
    PRIMARY KEY (email_id, ordinal)
);

CREATE TABLE deliveries (
    email_id        bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    destination     text        NOT NULL,
    -- attempting is written before the call where the destination honours no
    -- idempotency key: found on a repeat, it means that the effect is unknown.
    state           text        NOT NULL
        CHECK (state IN ('attempting', 'retrying', 'delivered', 'rejected', 'ambiguous')),
    idempotency_key text        NOT NULL,
    attempts        integer     NOT NULL DEFAULT 0,
    last_status     integer     NOT NULL DEFAULT 0,
    last_error      text        NOT NULL DEFAULT '',
    next_attempt_at timestamptz,
    delivered_at    timestamptz,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (email_id, destination)
);

-- One row per decision of a person.
CREATE TABLE decisions (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email_id     bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    sequence     bigint      NOT NULL,
    action       text        NOT NULL CHECK (action IN ('approve', 'discard', 'retry')),
    actor        text        NOT NULL,
    via          text        NOT NULL,
    note         text        NOT NULL,
    reason       text        NOT NULL,
    state_before text        NOT NULL,
    state_after  text        NOT NULL,
    decided_at   timestamptz NOT NULL,
    UNIQUE (email_id, sequence)
);

-- +goose Down
DROP TABLE decisions, deliveries, attachments, inbox, emails;
