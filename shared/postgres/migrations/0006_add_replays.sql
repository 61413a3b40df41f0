-- +goose Up

-- A replay, or one decision about many emails: what was asked, by whom, and how
-- far it is. The filter holds addresses and the note is a person's: both stay here
-- and are never in Temporal.
CREATE TABLE replays (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action        text             NOT NULL CHECK (action IN ('replay', 'approve', 'discard', 'retry')),
    -- Empty: from the step that holds the email.
    from_step     text             NOT NULL DEFAULT '' CHECK (from_step IN ('', 'route', 'store')),
    filter        jsonb            NOT NULL,
    dry_run       boolean          NOT NULL DEFAULT false,
    new_effect    boolean          NOT NULL DEFAULT false,
    note          text             NOT NULL CHECK (note <> ''),
    actor         text             NOT NULL CHECK (actor <> ''),
    via           text             NOT NULL,
    -- What was away and is back, where nobody asked for it.
    cause         text             NOT NULL DEFAULT '',
    rate          double precision NOT NULL CHECK (rate >= 0), -- per second; 0: as fast as it goes
    at_once       integer          NOT NULL CHECK (at_once > 0),
    intent_id     bigint,
    state         text             NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'paused', 'stopped', 'done', 'failed')),
    created_at    timestamptz      NOT NULL DEFAULT now(),
    started_at    timestamptz,
    ended_at      timestamptz,

    -- The choice is fixed at the start: no email beyond last_id, and none whose
    -- state has changed since (sequence of emails, milliseconds).
    last_id       bigint           NOT NULL,
    last_sequence bigint           NOT NULL,
    position      bigint           NOT NULL DEFAULT 0,
    -- Counts those who work on it: who comes later takes it from who came before.
    fence         bigint           NOT NULL DEFAULT 0,

    total         bigint           NOT NULL DEFAULT -1, -- not counted yet
    done          bigint           NOT NULL DEFAULT 0,
    skipped       bigint           NOT NULL DEFAULT 0,
    failed        bigint           NOT NULL DEFAULT 0,
    pace          double precision NOT NULL DEFAULT 0,  -- per second, lately
    paced_at      timestamptz,
    preview       jsonb
);
-- What is away comes back once at a time.
CREATE UNIQUE INDEX replays_cause ON replays (cause) WHERE cause <> '' AND state IN ('running', 'paused');
CREATE INDEX replays_open ON replays (id) WHERE state IN ('running', 'paused');

-- One row per email that a replay has come to. It is claimed before anything is
-- done: found so by who comes later, it may or may not have been done.
CREATE TABLE replay_items (
    replay_id bigint      NOT NULL REFERENCES replays (id) ON DELETE CASCADE,
    email_id  bigint      NOT NULL,
    state     text        NOT NULL CHECK (state IN ('claimed', 'done', 'skipped', 'failed')),
    code      text        NOT NULL DEFAULT '',
    detail    text        NOT NULL DEFAULT '',
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (replay_id, email_id)
) WITH (fillfactor = 80);
CREATE INDEX replay_items_claimed ON replay_items (replay_id, email_id) WHERE state = 'claimed';

CREATE TABLE replay_counts (
    replay_id bigint NOT NULL REFERENCES replays (id) ON DELETE CASCADE,
    code      text   NOT NULL,
    count     bigint NOT NULL,
    PRIMARY KEY (replay_id, code)
);

-- A delivery is sent again by a replay as a row of its own: effect is empty for the
-- first, 'replay-<id>' for those. content_sha256 is over what was sent, without
-- what differs each time; a leg whose content was delivered before is skipped.
ALTER TABLE deliveries
    ADD COLUMN effect         text NOT NULL DEFAULT '',
    ADD COLUMN content_sha256 bytea CHECK (octet_length(content_sha256) = 32),
    DROP CONSTRAINT deliveries_pkey,
    ADD PRIMARY KEY (email_id, destination, effect),
    DROP CONSTRAINT deliveries_state_check,
    ADD CONSTRAINT deliveries_state_check
        CHECK (state IN ('attempting', 'retrying', 'delivered', 'rejected', 'ambiguous', 'skipped'));

-- What is held because something was away, and what is being done about it.
CREATE TABLE recoveries (
    cause    text PRIMARY KEY,
    canary   bigint,               -- the email that was let go to see
    failures integer     NOT NULL DEFAULT 0,
    tried_at timestamptz,
    next_at  timestamptz NOT NULL DEFAULT now()
);

-- The content of a discarded email goes by policy; its row stays.
ALTER TABLE emails ADD COLUMN content_removed_at timestamptz;
CREATE INDEX emails_discarded ON emails (closed_at) WHERE state = 'discarded' AND content_removed_at IS NULL;
-- Objects that an email no longer needs, to be removed unless another one does.
CREATE TABLE unwanted_objects (
    bucket text        NOT NULL CHECK (bucket IN ('raw', 'attachments')),
    key    text        NOT NULL,
    since  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bucket, key)
);

-- +goose Down
DROP TABLE unwanted_objects, recoveries, replay_counts, replay_items, replays;
DROP INDEX emails_discarded;
ALTER TABLE emails DROP COLUMN content_removed_at;
DELETE FROM deliveries WHERE effect <> '' OR state = 'skipped';
ALTER TABLE deliveries
    DROP CONSTRAINT deliveries_pkey,
    ADD PRIMARY KEY (email_id, destination),
    DROP CONSTRAINT deliveries_state_check,
    ADD CONSTRAINT deliveries_state_check CHECK (state IN ('attempting', 'retrying', 'delivered', 'rejected', 'ambiguous')),
    DROP COLUMN effect,
    DROP COLUMN content_sha256;
