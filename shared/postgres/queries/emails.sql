-- name: ListAttachments :many
SELECT filename, content_type, content_id, url, declared_size, declared_sha256, key, size, sha256, detected_type,
       verdict, signature
  FROM attachments WHERE email_id = @email_id ORDER BY ordinal;
