-- +goose Up

-- What the steps of an email found to hold it for, and what became of it: one row for
-- each email, step and reason, for as long as the email. It outlives the workflow, so
-- that an email which is carried once more has to pass what nobody has let pass.
CREATE TABLE findings (
    email_id   bigint      NOT NULL REFERENCES emails (id) ON DELETE CASCADE,
    step       text        NOT NULL CHECK (step IN ('store', 'inspect', 'route')),
    reason     text        NOT NULL CHECK (reason <> ''),
    detail     text        NOT NULL DEFAULT '',
    -- The ingress found it: no step looks for it again.
    ingress    boolean     NOT NULL DEFAULT false,
    state      text        NOT NULL CHECK (state IN ('open', 'repeat', 'passed', 'approved')),
    needed     integer     NOT NULL DEFAULT 1 CHECK (needed > 0),
    -- Those given so far: [{"actor", "verified", ...}].
    approvals  jsonb       NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(approvals) = 'array'),
    -- As emails.sequence: an older change never overwrites a newer one.
    sequence   bigint      NOT NULL DEFAULT 0,
    found_at   timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (email_id, step, reason)
);

-- What the ingress found goes with the inbox row otherwise. A trigger, so that it is
-- there in the moment in which the email is accepted, whichever program does that.
-- +goose StatementBegin
CREATE FUNCTION inbox_keep_finding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO findings (email_id, step, reason, detail, ingress, state)
    VALUES (NEW.email_id, 'store', NEW.hold_reason, NEW.hold_detail, true, 'open')
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER inbox_keep_finding AFTER INSERT ON inbox FOR EACH ROW
    WHEN (NEW.hold_reason <> '') EXECUTE FUNCTION inbox_keep_finding();

-- What the last inspection looked at (overlay.Judged); empty: not known.
ALTER TABLE emails ADD COLUMN inspected_content text NOT NULL DEFAULT '';

-- What holds mail now, or held it when it was discarded, as far as the rows say: the
-- first reason. Mail of an older release is inspected once more in any case.
INSERT INTO findings (email_id, step, reason, detail, ingress, state)
SELECT email_id, 'store', hold_reason, hold_detail, true, 'open' FROM inbox WHERE hold_reason <> '';
INSERT INTO findings (email_id, step, reason, detail, ingress, state)
SELECT id, CASE WHEN reason IN ('too_large', 'attachment_type_denied', 'attachment_mismatch', 'infected', 'unscannable',
                                'scanner_unavailable') THEN 'inspect'
                WHEN reason IN ('manual_hold', 'unroutable') THEN 'route'
                ELSE 'store' END,
       reason, detail, reason IN ('id_conflict', 'recipient_foreign', 'loop_detected'), 'open'
  FROM emails
 WHERE state IN ('quarantined', 'discarded') AND reason <> ''
   AND reason NOT IN ('downstream_rejected', 'downstream_exhausted', 'downstream_unavailable', 'ambiguous_effect', 'internal',
                      'storage_unavailable')
ON CONFLICT DO NOTHING;

-- +goose Down
ALTER TABLE emails DROP COLUMN inspected_content;
DROP TRIGGER inbox_keep_finding ON inbox;
DROP FUNCTION inbox_keep_finding;
DROP TABLE findings;
