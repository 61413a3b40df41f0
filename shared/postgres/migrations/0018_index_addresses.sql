-- +goose Up

-- Sender and recipients get trigrams of their own: text that is common among the
-- recipients and in no sender was looked for in every row by the index of all lines.
-- The function makes what is not there yet; see 0008.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION ensure_search_index() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('email_search_trigrams') IS NOT NULL AND to_regclass('email_search_addresses') IS NOT NULL THEN
        RETURN '';
    END IF;
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX IF NOT EXISTS email_search_trigrams ON email_search
        USING gin (text gin_trgm_ops) WITH (gin_pending_list_limit = 2048);
    CREATE INDEX IF NOT EXISTS email_search_addresses ON email_search
        USING gin (split_part(text, E'\n', 4) gin_trgm_ops, split_part(text, E'\n', 5) gin_trgm_ops)
        WITH (gin_pending_list_limit = 2048);
    RETURN '';
EXCEPTION WHEN undefined_file OR feature_not_supported OR insufficient_privilege OR undefined_object THEN
    RETURN SQLERRM;
END
$$;
-- +goose StatementEnd
SELECT ensure_search_index();

-- What somebody was told of, a handful of rows, is counted by the overview.
CREATE INDEX emails_attention ON emails (attention, tenant, received_at) WHERE attention > 0;

-- +goose Down
DROP INDEX emails_attention;
DROP INDEX IF EXISTS email_search_addresses;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION ensure_search_index() RETURNS text LANGUAGE plpgsql AS $$
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
