package worker

import (
	"context"
	"io"
	"time"

	"mailroom/shared/blob"
	"mailroom/shared/excerpt"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// objects implements the interfaces of the activities on the object store.
type objects struct{ store *blob.Store }

// Body implements activities.BodyReader.
func (o objects) Body(ctx context.Context, key string, limit int64, sha256hex string) ([]byte, error) {
	return o.store.ReadAll(ctx, blob.Raw, key, limit, sha256hex)
}

// Attachment implements activities.AttachmentReader.
func (o objects) Attachment(ctx context.Context, a mail.Attachment, limit int64) ([]byte, error) {
	return o.store.ReadAll(ctx, blob.Attachments, a.Key, limit, a.SHA256)
}

// OpenMail implements activities.MailOpener.
func (o objects) OpenMail(ctx context.Context, key string) (io.ReadCloser, error) {
	return o.store.Get(ctx, blob.Raw, key)
}

// PutRaw implements activities.ObjectWriter.
func (o objects) PutRaw(ctx context.Context, key string, content []byte, contentType string) error {
	return o.store.PutBytes(ctx, blob.Raw, key, content, contentType)
}

// PutAttachment implements activities.ObjectWriter. The type is not the
// declared one, which could make a browser show the content.
func (o objects) PutAttachment(ctx context.Context, key string, content []byte) error {
	return o.store.PutBytes(ctx, blob.Attachments, key, content, "application/octet-stream")
}

// Message implements activities.MessageReader.
func (o objects) Message(ctx context.Context, m *ledger.Manifest) (*mail.Message, error) {
	return excerpt.Whole(ctx, o.store, m)
}

// Link implements activities.Linker.
func (o objects) Link(ctx context.Context, a mail.Attachment, expiry time.Duration) (string, error) {
	return o.store.Presign(ctx, blob.Attachments, a.Key, a.Filename, expiry)
}

// Remove implements activities.ObjectRemover.
func (o objects) Remove(ctx context.Context, u ledger.UnwantedObject) error {
	return o.store.Remove(ctx, blob.Bucket(u.Bucket), u.Key)
}
