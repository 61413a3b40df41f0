-- +goose Up

ALTER TABLE emails
    -- What the provider said beside the mail: {auth: {spf, dkim, dmarc}, type, timestamp,
    -- mailbox}, each bounded. Nothing of it is verified. NULL: it said nothing.
    ADD COLUMN reported jsonb CHECK (jsonb_typeof(reported) = 'object'),
    -- Another email of the tenant with the same Message-ID, which was there before this
    -- one was stored. The sender chooses Message-IDs: it flags, and decides nothing.
    ADD COLUMN possible_duplicate_of bigint;

-- A table of its own, so that the store step changes no column of emails that an index
-- covers. The hash is over tenant and Message-ID: no tenant meets another's.
CREATE TABLE message_ids (
    hash     bytea  NOT NULL CHECK (octet_length(hash) = 16),
    email_id bigint NOT NULL,
    PRIMARY KEY (hash, email_id)
);

CREATE FUNCTION message_hash(tenant text, message_id text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$ SELECT substr(sha256(convert_to(tenant || E'\n' || message_id, 'UTF8')), 1, 16) $$;

INSERT INTO message_ids (hash, email_id) SELECT message_hash(tenant, message_id), id FROM emails WHERE message_id <> '';

-- +goose Down
DROP FUNCTION message_hash;
DROP TABLE message_ids;
ALTER TABLE emails DROP COLUMN reported, DROP COLUMN possible_duplicate_of;
