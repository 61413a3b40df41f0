package api

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/blob"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// content sends the raw bytes and the attachments of an email.
type content struct {
	finder
	blobs  Blobs
	logger *slog.Logger
}

// download is content that is sent.
type download struct {
	filename string
	size     int64  // -1: unknown
	sha256   string // lower-case hex; empty: unknown, not checked
	body     io.Reader
}

func (t *content) raw(c *gin.Context) error {
	email, q, err := t.find(c, fault.RequestInvalid, "part")
	if err != nil {
		return err
	}
	switch q["part"] {
	case "":
		return t.rawBody(c, email)
	case "mime":
		return t.rawMIME(c, email)
	default:
		return fault.New(fault.RequestInvalid, "part may only be mime")
	}
}

// rawBody sends the body as the provider posted it, from the inbox while it is
// not stored yet.
func (t *content) rawBody(c *gin.Context, email *ledger.EmailDetail) error {
	body, err := t.reader.Body(c.Request.Context(), email.ID)
	if err != nil {
		return err
	}
	d := download{filename: "event.json", size: -1}
	if body.SHA256 != [sha256.Size]byte{} {
		d.sha256 = hex.EncodeToString(body.SHA256[:])
	}
	if body.Key != "" {
		return t.sendBlob(c, blob.Raw, body.Key, d)
	}
	d.body, d.size = bytes.NewReader(body.Inline), int64(len(body.Inline))
	return t.send(c, d)
}

func (t *content) rawMIME(c *gin.Context, email *ledger.EmailDetail) error {
	body, err := t.reader.Body(c.Request.Context(), email.ID)
	if err != nil {
		return err
	}
	if !body.Stored {
		return fault.New(fault.NotFound, "the raw mail of this email is not stored yet")
	}
	manifest, err := t.reader.Manifest(c.Request.Context(), email.ID)
	if err != nil {
		return err
	}
	if manifest.MIMEKey == "" {
		return fault.New(fault.NotFound, "this email came without raw mail")
	}
	return t.sendBlob(c, blob.Raw, manifest.MIMEKey, download{filename: "mail.eml", size: -1})
}

func (t *content) attachment(c *gin.Context) error {
	email, _, err := t.find(c, fault.RequestInvalid)
	if err != nil {
		return err
	}

	missing := fault.New(fault.NotFound, "this email has no such attachment")
	sum, err := pathValue(c, "sha256")
	if err != nil {
		return missing
	}

	var (
		found *mail.Attachment
		clean = true
	)

	for i, a := range email.Attachments {
		if a.SHA256 != sum || a.Key == "" {
			continue
		}
		// The same bytes under two names may have two verdicts: the worse one counts.
		clean = clean && a.Verdict == mail.Clean
		if found == nil {
			found = &email.Attachments[i]
		}
	}

	if found == nil {
		return missing
	}

	if !clean {
		if err := caller(c).Require(email.Tenant, access.Operator, noEmail); err != nil {
			return err
		}
	}

	return t.sendBlob(c, blob.Attachments, found.Key,
		download{filename: found.Filename, size: found.Size, sha256: found.SHA256})
}

func (t *content) sendBlob(c *gin.Context, bucket blob.Bucket, key string, d download) error {
	object, err := t.blobs.Get(c.Request.Context(), bucket, key)
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }() // it was only read
	d.body = object
	return t.send(c, d)
}

// send streams d as a download that no browser renders. Content that cannot be
// read or is not what was stored gets an error while nothing is sent yet; later
// the connection is cut before the last bytes, so that no client takes it for complete.
func (t *content) send(c *gin.Context, d download) error {
	body := newVerified(d.body, d.sha256)
	first, err := body.peek()
	if err != nil {
		return err
	}

	header := c.Writer.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Disposition", disposition(d.filename))
	if d.size >= 0 {
		header.Set("Content-Length", strconv.FormatInt(d.size, 10))
	}

	c.Status(http.StatusOK)
	if _, err := io.Copy(c.Writer, io.MultiReader(bytes.NewReader(first), body)); err != nil {
		if c.Request.Context().Err() == nil {
			t.logger.Error("operator.download_cut", slog.String("route", c.FullPath()), slog.Any("error", err))
		}
		panic(http.ErrAbortHandler)
	}

	return nil
}

// disposition returns the Content-Disposition of a file (RFC 6266); names beyond
// ASCII are encoded (RFC 8187).
func disposition(filename string) string {
	if v := mime.FormatMediaType("attachment", map[string]string{"filename": filename}); filename != "" && v != "" {
		return v
	}
	return "attachment"
}

// verified reads content and holds its last bytes back until the hash of the
// whole is right.
type verified struct {
	r    *bufio.Reader
	hash hash.Hash
	want string
	buf  []byte
}

const chunk = 64 << 10

func newVerified(r io.Reader, want string) *verified {
	return &verified{r: bufio.NewReaderSize(r, chunk), hash: sha256.New(), want: want, buf: make([]byte, chunk)}
}

// peek reads the first bytes, at most one chunk. Reading continues after them.
func (v *verified) peek() ([]byte, error) {
	n, err := v.Read(v.buf)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return v.buf[:n], err
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	if err == nil {
		_, err = v.r.Peek(1)
	}

	switch {
	case err == nil:
		return n, nil
	case errors.As(err, new(*fault.Error)):
		return 0, err //nolint:wrapcheck // the object store's own fault
	case !errors.Is(err, io.EOF):
		return 0, fault.Wrap(fault.StorageUnavailable, "the object store did not return the whole content", err)
	case v.want != "" && hex.EncodeToString(v.hash.Sum(nil)) != v.want:
		return 0, fault.New(fault.ContentLost, "the stored content is not what was received")
	}

	return n, io.EOF
}
