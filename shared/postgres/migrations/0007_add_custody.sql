-- +goose Up

-- What is known of an email's way: who vouched for it at the door, and with what
-- the steps looked at it. Empty or null: not known, or not there yet.
ALTER TABLE emails
    ADD COLUMN verified_scheme  text    NOT NULL DEFAULT '',
    -- The number of the key in its source's list, from 1, and its reference there.
    ADD COLUMN verified_key     integer NOT NULL DEFAULT 0,
    ADD COLUMN verified_ref     text    NOT NULL DEFAULT '',
    ADD COLUMN parser           text    NOT NULL DEFAULT '',
    ADD COLUMN stored_at        timestamptz,
    ADD COLUMN scanner          text    NOT NULL DEFAULT '',
    ADD COLUMN scanner_database text    NOT NULL DEFAULT '',
    ADD COLUMN inspected_at     timestamptz,
    ADD COLUMN rules_version    text    NOT NULL DEFAULT '',
    ADD COLUMN routed_at        timestamptz,
    -- When the email came into its state, by the clock of its workflow.
    ADD COLUMN state_since      timestamptz;

-- One row per call of a destination that was really made.
CREATE TABLE attempts (
    email_id    bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    destination text        NOT NULL,
    -- As in deliveries: empty for the first effect, else what asked for another.
    effect      text        NOT NULL DEFAULT '',
    number      integer     NOT NULL CHECK (number > 0),
    at          timestamptz NOT NULL,
    took_ms     bigint      NOT NULL CHECK (took_ms >= 0),
    status      integer     NOT NULL, -- HTTP status of the answer, 0 where there was none
    code        text        NOT NULL, -- the fault's code; empty for a success
    PRIMARY KEY (email_id, destination, effect, number)
);

-- The states that an email was in, but for processing: the row of emails has the last
-- one only. The end of an email is copied here when it is opened again, so that
-- mail that goes through without a stop costs no row.
CREATE TABLE transitions (
    email_id bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    sequence bigint      NOT NULL,
    at       timestamptz NOT NULL,
    state    text        NOT NULL,
    reason   text        NOT NULL,
    detail   text        NOT NULL,
    PRIMARY KEY (email_id, sequence)
);

-- +goose StatementBegin
CREATE FUNCTION emails_keep_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO transitions (email_id, sequence, at, state, reason, detail)
    SELECT * FROM (VALUES
        (OLD.id, OLD.sequence, OLD.closed_at, OLD.state, OLD.reason, OLD.detail),
        (NEW.id, NEW.sequence, coalesce(NEW.state_since, NEW.closed_at, clock_timestamp()), NEW.state, NEW.reason, NEW.detail)
    ) AS t (email_id, sequence, at, state, reason, detail)
     WHERE t.at IS NOT NULL AND (t.sequence = OLD.sequence OR t.state NOT IN ('processing', 'delivered'))
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER emails_keep_transition AFTER UPDATE OF state ON emails FOR EACH ROW
    WHEN (OLD.sequence < NEW.sequence AND (OLD.closed_at IS NOT NULL OR NEW.state NOT IN ('processing', 'delivered')))
    EXECUTE FUNCTION emails_keep_transition();

-- The hash chain of what people decided and changed. Its format is described in
-- deploy/docs/audit.md; a change of it is a new format, never an edit here.
CREATE TABLE audit (
    seq          bigint      PRIMARY KEY CHECK (seq > 0), -- without gaps
    at           timestamptz NOT NULL,
    kind         text        NOT NULL CHECK (kind <> ''),
    email_id     bigint      NOT NULL, -- 0 where it is about no email
    event_id     text        NOT NULL,
    source       text        NOT NULL,
    tenant       text        NOT NULL,
    actor        text        NOT NULL,
    via          text        NOT NULL,
    body         text        NOT NULL CHECK (jsonb_typeof(body::jsonb) = 'object'),
    content_hash bytea       NOT NULL CHECK (octet_length(content_hash) = 32),
    prev_hash    bytea       NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash         bytea       NOT NULL CHECK (octet_length(hash) = 32)
);
CREATE INDEX audit_email ON audit (email_id, seq) WHERE email_id <> 0;

-- The end of the chain, whose lock puts the entries in order.
CREATE TABLE audit_head (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq  bigint  NOT NULL,
    hash bytea   NOT NULL CHECK (octet_length(hash) = 32)
) WITH (fillfactor = 10);
INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- The hash of what an entry says: of its fields in this order, each as
-- "<name>:<length in bytes>:<value>" and a line feed.
-- +goose StatementBegin
CREATE FUNCTION audit_content_hash(at timestamptz, kind text, email_id bigint, event_id text, source text, tenant text,
                                   actor text, via text, body text) RETURNS bytea
LANGUAGE sql STABLE STRICT AS $$
    SELECT sha256(convert_to(string_agg(f.name || ':' || octet_length(convert_to(f.value, 'UTF8')) || ':' || f.value || E'\n',
                                        '' ORDER BY f.place), 'UTF8'))
      FROM (VALUES (1, 'at', (extract(epoch FROM at) * 1000000)::bigint::text), (2, 'kind', kind),
                   (3, 'email_id', email_id::text), (4, 'event_id', event_id), (5, 'source', source),
                   (6, 'tenant', tenant), (7, 'actor', actor), (8, 'via', via), (9, 'body', body)
           ) AS f (place, name, value)
$$;
-- +goose StatementEnd

-- The hash of an entry: of the format's name, its number, the hash before it and
-- the hash of what it says, the hashes in lower-case hex, a line feed after each.
-- +goose StatementBegin
CREATE FUNCTION audit_hash(seq bigint, prev_hash bytea, content_hash bytea) RETURNS bytea
LANGUAGE sql STABLE STRICT AS $$
    SELECT sha256(convert_to('mailroom.audit.v1' || E'\n' || seq || E'\n' || encode(prev_hash, 'hex') || E'\n'
                             || encode(content_hash, 'hex') || E'\n', 'UTF8'))
$$;
-- +goose StatementEnd

-- Appends one entry and gives its number. The head is locked until the transaction
-- ends: call it in a statement of its own or as the last thing of a short
-- transaction, and once a statement, after all other rows are locked. Of an email
-- its own tenant counts, whatever p_tenant says.
-- +goose StatementBegin
CREATE FUNCTION audit_append(p_kind text, p_email_id bigint, p_tenant text, p_actor text, p_via text, p_body jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head audit_head;
    e    audit;
BEGIN
    e.kind := p_kind; e.email_id := coalesce(p_email_id, 0); e.event_id := ''; e.source := '';
    e.tenant := coalesce(p_tenant, ''); e.actor := coalesce(p_actor, ''); e.via := coalesce(p_via, '');
    e.body := coalesce(p_body, '{}')::text;
    IF e.email_id <> 0 THEN
        SELECT m.event_id, m.source, m.tenant INTO STRICT e.event_id, e.source, e.tenant FROM emails m WHERE m.id = e.email_id;
    END IF;
    SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
    e.at := clock_timestamp(); e.seq := head.seq + 1; e.prev_hash := head.hash;
    e.content_hash := audit_content_hash(e.at, e.kind, e.email_id, e.event_id, e.source, e.tenant, e.actor, e.via, e.body);
    e.hash := audit_hash(e.seq, e.prev_hash, e.content_hash);
    INSERT INTO audit SELECT e.*;
    UPDATE audit_head SET seq = e.seq, hash = e.hash;
    RETURN e.seq;
END $$;
-- +goose StatementEnd

-- What the chain keeps of a decision: its whole row, times as microseconds since 1970.
-- +goose StatementBegin
CREATE FUNCTION audit_decision(d decisions) RETURNS jsonb LANGUAGE sql STABLE SET timezone TO 'UTC' AS $$
    SELECT to_jsonb(d) - 'id' - 'decided_at'
        || jsonb_build_object('decided_at_us', (extract(epoch FROM d.decided_at) * 1000000)::bigint)
$$;
-- +goose StatementEnd

-- Every decision is in the chain, whoever writes it down, in the same statement;
-- a repeat that writes no row appends nothing.
-- +goose StatementBegin
CREATE FUNCTION decisions_append_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit_append('decision', NEW.email_id, '', NEW.actor, NEW.via, audit_decision(NEW));
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are kept as they are: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd

-- The decisions that are there already, in one go: so many changes of one head row
-- in one transaction would be slow.
-- +goose StatementBegin
DO $$
DECLARE
    e audit;
    d decisions;
BEGIN
    SELECT seq, hash INTO STRICT e.seq, e.hash FROM audit_head;
    e.kind := 'decision'; e.at := clock_timestamp();
    FOR d IN SELECT * FROM decisions ORDER BY id LOOP
        SELECT m.event_id, m.source, m.tenant INTO STRICT e.event_id, e.source, e.tenant FROM emails m WHERE m.id = d.email_id;
        e.seq := e.seq + 1; e.prev_hash := e.hash;
        e.email_id := d.email_id; e.actor := d.actor; e.via := d.via; e.body := audit_decision(d)::text;
        e.content_hash := audit_content_hash(e.at, e.kind, e.email_id, e.event_id, e.source, e.tenant, e.actor, e.via, e.body);
        e.hash := audit_hash(e.seq, e.prev_hash, e.content_hash);
        INSERT INTO audit SELECT e.*;
    END LOOP;
    UPDATE audit_head SET seq = e.seq, hash = e.hash;
END $$;
-- +goose StatementEnd

CREATE TRIGGER decisions_append_audit AFTER INSERT ON decisions FOR EACH ROW EXECUTE FUNCTION decisions_append_audit();
CREATE TRIGGER decisions_refuse_change BEFORE UPDATE OR DELETE ON decisions FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER decisions_refuse_truncate BEFORE TRUNCATE ON decisions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_refuse_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_refuse_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_head_refuse_change BEFORE DELETE ON audit_head FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_head_refuse_truncate BEFORE TRUNCATE ON audit_head FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- A session that replicates is no way around these.
ALTER TABLE decisions ENABLE ALWAYS TRIGGER decisions_refuse_change;
ALTER TABLE decisions ENABLE ALWAYS TRIGGER decisions_refuse_truncate;
ALTER TABLE audit ENABLE ALWAYS TRIGGER audit_refuse_change;
ALTER TABLE audit ENABLE ALWAYS TRIGGER audit_refuse_truncate;
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER audit_head_refuse_change;
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER audit_head_refuse_truncate;

-- +goose Down
DROP TRIGGER decisions_append_audit ON decisions;
DROP TRIGGER decisions_refuse_change ON decisions;
DROP TRIGGER decisions_refuse_truncate ON decisions;
DROP TRIGGER emails_keep_transition ON emails;
DROP TABLE audit, audit_head, attempts, transitions;
DROP FUNCTION audit_append, audit_hash, audit_content_hash, audit_decision, decisions_append_audit, refuse_change, emails_keep_transition;
ALTER TABLE emails
    DROP COLUMN verified_scheme, DROP COLUMN verified_key, DROP COLUMN verified_ref, DROP COLUMN parser,
    DROP COLUMN stored_at, DROP COLUMN scanner, DROP COLUMN scanner_database, DROP COLUMN inspected_at,
    DROP COLUMN rules_version, DROP COLUMN routed_at, DROP COLUMN state_since;
