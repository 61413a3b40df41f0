-- +goose Up

-- The rows of emails and deliveries have the last run of a step and the last end of a
-- delivery. These tables keep those that a retry, an edit or a replay has replaced; mail
-- that goes through once has no row here. Triggers write them, so programs that do not
-- know the tables keep them too.
CREATE TABLE past_steps (
    email_id bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    step     text        NOT NULL, -- stored, inspected or routed
    at       timestamptz NOT NULL,
    tool     text        NOT NULL DEFAULT '', -- parser, scanner, or the version of the rules
    tool_database text   NOT NULL DEFAULT '', -- of the scanner
    raw_view text        NOT NULL DEFAULT '',
    routes   text[]      NOT NULL DEFAULT '{}',
    PRIMARY KEY (email_id, step, at)
);

CREATE TABLE past_ends (
    email_id    bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    destination text        NOT NULL,
    effect      text        NOT NULL,
    at          timestamptz NOT NULL,
    state       text        NOT NULL, -- rejected or ambiguous
    attempts    integer     NOT NULL,
    last_error  text        NOT NULL,
    PRIMARY KEY (email_id, destination, effect, at)
);

-- +goose StatementBegin
CREATE FUNCTION emails_keep_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.stored_at <> NEW.stored_at THEN
        INSERT INTO past_steps (email_id, step, at, tool) VALUES (OLD.id, 'stored', OLD.stored_at, OLD.parser)
        ON CONFLICT DO NOTHING;
    END IF;
    IF OLD.inspected_at <> NEW.inspected_at THEN
        INSERT INTO past_steps (email_id, step, at, tool, tool_database, raw_view)
        VALUES (OLD.id, 'inspected', OLD.inspected_at, OLD.scanner, OLD.scanner_database, OLD.raw_view)
        ON CONFLICT DO NOTHING;
    END IF;
    IF OLD.routed_at <> NEW.routed_at THEN
        INSERT INTO past_steps (email_id, step, at, tool, routes)
        VALUES (OLD.id, 'routed', OLD.routed_at, OLD.rules_version, OLD.routes)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER emails_keep_steps AFTER UPDATE OF stored_at, inspected_at, routed_at ON emails FOR EACH ROW
    WHEN (OLD.stored_at <> NEW.stored_at OR OLD.inspected_at <> NEW.inspected_at OR OLD.routed_at <> NEW.routed_at)
    EXECUTE FUNCTION emails_keep_steps();

-- +goose StatementBegin
CREATE FUNCTION deliveries_keep_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO past_ends (email_id, destination, effect, at, state, attempts, last_error)
    VALUES (OLD.email_id, OLD.destination, OLD.effect, OLD.updated_at, OLD.state, OLD.attempts, OLD.last_error)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER deliveries_keep_end AFTER UPDATE OF state ON deliveries FOR EACH ROW
    WHEN (OLD.state IN ('rejected', 'ambiguous') AND (NEW.state <> OLD.state OR NEW.attempts <> OLD.attempts))
    EXECUTE FUNCTION deliveries_keep_end();

-- +goose Down
DROP TRIGGER emails_keep_steps ON emails;
DROP TRIGGER deliveries_keep_end ON deliveries;
DROP FUNCTION emails_keep_steps, deliveries_keep_end;
DROP TABLE past_steps, past_ends;
