-- The objects lock: see removal.go.
-- name: LockObjects :exec
SELECT pg_advisory_xact_lock(@lock::bigint);

-- name: ShareObjects :exec
SELECT pg_advisory_xact_lock_shared(@lock::bigint);

-- name: UnwantedObjectsExist :one
SELECT EXISTS (SELECT FROM unwanted_objects u
 WHERE u.removed_at IS NULL AND (u.removing_since IS NULL OR u.removing_since < now() - @lease::interval));

-- DeleteWantedObjects deletes the rows of objects that an email has.
-- name: DeleteWantedObjects :exec
DELETE FROM unwanted_objects u
 WHERE u.removed_at IS NULL AND (u.removing_since IS NULL OR u.removing_since < now() - @lease::interval)
   AND (u.bucket = 'attachments' AND EXISTS (SELECT FROM attachments a WHERE a.key = u.key)
    OR u.bucket = 'raw' AND (EXISTS (SELECT FROM emails e WHERE e.raw_key = u.key)
       OR EXISTS (SELECT FROM emails e WHERE e.mime_key = u.key)
       OR EXISTS (SELECT FROM emails e WHERE e.message_key = u.key)
       OR EXISTS (SELECT FROM inbox i WHERE i.body_key = u.key)));

-- name: MarkRemoving :many
UPDATE unwanted_objects SET removing_since = now()
 WHERE (bucket, key) IN (SELECT u.bucket, u.key FROM unwanted_objects u
     WHERE u.removed_at IS NULL AND (u.removing_since IS NULL OR u.removing_since < now() - @lease::interval)
     ORDER BY u.since, u.bucket, u.key LIMIT @max_rows::bigint)
RETURNING bucket, key;

-- UnmarkWanted deletes those of the marked rows whose objects an email has.
-- name: UnmarkWanted :many
DELETE FROM unwanted_objects u USING (SELECT unnest(@buckets::text[]) AS bucket, unnest(@keys::text[]) AS key) n
 WHERE u.bucket = n.bucket AND u.key = n.key
   AND (u.bucket = 'attachments' AND EXISTS (SELECT FROM attachments a WHERE a.key = u.key)
    OR u.bucket = 'raw' AND (EXISTS (SELECT FROM emails e WHERE e.raw_key = u.key)
       OR EXISTS (SELECT FROM emails e WHERE e.mime_key = u.key)
       OR EXISTS (SELECT FROM emails e WHERE e.message_key = u.key)
       OR EXISTS (SELECT FROM inbox i WHERE i.body_key = u.key)))
RETURNING u.bucket, u.key;

-- EndRemoval assigns a number to the removal: see removal.go.
-- name: EndRemoval :exec
WITH next AS (UPDATE object_removals SET number = number + 1 RETURNING number)
INSERT INTO unwanted_objects (bucket, key, removed_as, removed_at)
SELECT @bucket::text, @key::text, next.number, now() FROM next
ON CONFLICT (bucket, key) DO UPDATE SET removing_since = NULL, removed_as = excluded.removed_as, removed_at = excluded.removed_at;

-- name: CancelRemoval :exec
UPDATE unwanted_objects u SET removing_since = NULL
  FROM (SELECT unnest(@buckets::text[]) AS bucket, unnest(@keys::text[]) AS key) n
 WHERE u.bucket = n.bucket AND u.key = n.key;

-- name: ForgetRemovals :exec
DELETE FROM unwanted_objects WHERE removed_at < now() - @age::interval;

-- RemoveContent removes the content of one discarded email; subject matches what
-- precedes the line of the subject in a search text.
-- name: RemoveContent :one
WITH chosen AS (
    SELECT id, raw_key, mime_key, message_key FROM emails
     WHERE state = 'discarded' AND content_removed_at IS NULL AND closed_at < @before::timestamptz
     ORDER BY closed_at LIMIT 1 FOR UPDATE SKIP LOCKED
), keys AS (
    SELECT 'raw' AS bucket, c.raw_key AS key FROM chosen c
    UNION SELECT 'raw', c.mime_key FROM chosen c
    UNION SELECT 'raw', c.message_key FROM chosen c
    UNION SELECT 'raw', i.body_key FROM inbox i JOIN chosen c ON c.id = i.email_id WHERE i.body_key IS NOT NULL
    UNION SELECT 'attachments', a.key FROM attachments a JOIN chosen c ON c.id = a.email_id
), unwanted AS (
    INSERT INTO unwanted_objects (bucket, key) SELECT k.bucket, k.key FROM keys k WHERE k.key <> ''
    ON CONFLICT (bucket, key) DO UPDATE SET since = now(), removed_at = NULL WHERE unwanted_objects.removed_at IS NOT NULL
), emptied AS (
    DELETE FROM inbox WHERE email_id IN (SELECT c.id FROM chosen c)
), searched AS (
    UPDATE email_search SET text = regexp_replace(text, @subject::text, '\1') WHERE email_id IN (SELECT c.id FROM chosen c)
), searched_new AS (
    UPDATE email_search_new SET text = regexp_replace(text, @subject::text, '\1') WHERE email_id IN (SELECT c.id FROM chosen c)
), edited AS (
    UPDATE edits SET edit = '{}', changes = '[]' WHERE email_id IN (SELECT c.id FROM chosen c)
), stripped AS (
    UPDATE attachments SET key = '', url = '' WHERE email_id IN (SELECT c.id FROM chosen c)
)
UPDATE emails SET raw_key = '', mime_key = '', message = NULL, message_key = '', subject = '', content_removed_at = now()
 WHERE emails.id IN (SELECT c.id FROM chosen c)
RETURNING emails.id;

-- ForgetSamples removes the samples of dry runs: they hold subjects and addresses.
-- name: ForgetSamples :exec
UPDATE replays SET preview = jsonb_set(preview, '{sample}', '[]')
 WHERE preview->'sample' <> '[]'::jsonb AND created_at < now() - @age::interval;
