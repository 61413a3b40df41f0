-- +goose Up

-- The times in which an email waited for people, which latencies leave out: it was held,
-- it had come to an end before it was replayed, or a destination of it was paused or had
-- answered 410. Most emails have no row. Triggers write what follows from states.
CREATE TABLE waits (
    email_id bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    cause    text        NOT NULL, -- held, ended, or "paused " and the destination
    began    timestamptz NOT NULL,
    ended    timestamptz NOT NULL,
    PRIMARY KEY (email_id, cause, began)
);

ALTER TABLE emails
    -- How long an email that has come to its end waited for people, overlaps counted once.
    ADD COLUMN waited_ms bigint NOT NULL DEFAULT 0 CHECK (waited_ms >= 0);
DROP INDEX emails_closed;
CREATE INDEX emails_closed ON emails (closed_at, received_at, tenant, state, waited_ms) WHERE closed_at IS NOT NULL;

-- +goose StatementBegin
CREATE FUNCTION emails_keep_wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO waits (email_id, cause, began, ended)
    SELECT OLD.id, CASE WHEN OLD.closed_at IS NULL THEN 'held' ELSE 'ended' END,
           coalesce(OLD.closed_at, OLD.held_at), greatest(NEW.state_since, coalesce(OLD.closed_at, OLD.held_at))
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER emails_keep_wait AFTER UPDATE OF state ON emails FOR EACH ROW
    WHEN (NEW.state_since IS NOT NULL AND (OLD.closed_at IS NOT NULL AND NEW.closed_at IS NULL
          OR OLD.held_at IS NOT NULL AND NEW.held_at IS NULL))
    EXECUTE FUNCTION emails_keep_wait();

-- +goose Down
DROP TRIGGER emails_keep_wait ON emails;
DROP FUNCTION emails_keep_wait;
DROP INDEX emails_closed;
ALTER TABLE emails DROP COLUMN waited_ms;
CREATE INDEX emails_closed ON emails (closed_at, received_at, tenant, state) WHERE closed_at IS NOT NULL;
DROP TABLE waits;
