package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/blob"
	"mailroom/shared/contract"
	"mailroom/shared/excerpt"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Bounds of what is read for a page, in bytes.
const (
	maxText    = 256 << 10
	maxSource  = 256 << 10 // of the raw source that is shown
	maxHeaders = 200       // header fields

	// maxReads is how many objects are read for one view of a mail with images.
	maxReads = 64
)

// mailReader finds emails and reads what is stored of them.
type mailReader struct {
	emails Emails
	blobs  Blobs
	stored *excerpt.Reader // of parsed mails
}

// find returns the email that the path with ?source= or, exactly, ?number= names, among those
// of tenants in which the caller has a role. A number whose email has another id than
// the path says is not found.
func (m *mailReader) find(g *gin.Context) (*ledger.EmailDetail, error) {
	missing := fault.New(fault.NotFound, "there is no email with this id")
	id, err := url.PathUnescape(g.Param("event_id"))
	if err != nil {
		return nil, missing
	}
	if id == noID && g.Query("id") != "" {
		id = g.Query("id")
	}
	look := ledger.Lookup{Source: g.Query("source"), EventID: id}
	if id == "" || len(id) > contract.MaxEventID || !access.Plain(id) || len(look.Source) > maxField || !access.Plain(look.Source) {
		return nil, missing
	}
	if text := g.Query("number"); text != "" {
		if look.Number, err = strconv.ParseInt(text, 10, 64); err != nil || look.Number < 1 {
			return nil, missing
		}
	}
	look.Tenants, _ = access.From(g.Request.Context()).Tenants(access.Viewer)

	email, err := m.emails.FindEmail(g.Request.Context(), look)
	if err == nil && look.Number != 0 && id != email.EventID && id != email.WorkflowID {
		return nil, missing
	}
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return nil, missing
		}
		return nil, err
	}
	if access.From(g.Request.Context()).In(email.Tenant) < access.Viewer {
		return nil, missing
	}
	return email, nil
}

// content is what is stored of an email. Message is nil where it cannot be shown;
// Notice says why.
type content struct {
	Message *mail.Message
	Notice  string
	MIMEKey string
}

// content reads the parsed mail. It is no error that the mail is not stored yet, or no
// longer.
func (m *mailReader) content(ctx context.Context, email *ledger.EmailDetail) (content, error) {
	body, err := m.emails.Body(ctx, email.ID)
	switch {
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.ContentLost):
		return content{Notice: "The content of this email has been removed. Its record stays."}, nil
	case err != nil:
		return content{}, err
	case !body.Stored:
		return content{Notice: "This email is not stored yet, so its text cannot be shown. Read the raw source instead."}, nil
	}

	manifest, err := m.emails.Manifest(ctx, email.ID)
	if err != nil {
		return content{}, err
	}

	out := content{MIMEKey: manifest.MIMEKey}
	if len(manifest.Message) == 0 && manifest.MessageKey == "" {
		out.Notice = "This email has no text that could be read."
		return out, nil
	}

	out.Message, err = m.stored.Message(ctx, manifest)
	switch {
	case fault.Is(err, fault.ContentLost), fault.Is(err, fault.NotFound):
		out.Notice = "The content of this email has been removed. Its record stays."
	case fault.Is(err, fault.BodyTooLarge):
		out.Notice = "This email is too large to be shown. Read the raw source instead."
	case errors.As(err, new(*fault.Error)):
		return content{}, err
	case err != nil:
		return content{}, fault.Wrap(fault.Internal, "the stored mail cannot be read", fmt.Errorf("read message of email %d: %w", email.ID, err))
	}

	return out, nil
}

// read returns at most limit bytes of an object and whether it has more.
func (m *mailReader) read(ctx context.Context, bucket blob.Bucket, key string, limit int64) (content []byte, more bool, err error) {
	r, err := m.blobs.Get(ctx, bucket, key)
	if err != nil {
		return nil, false, err
	}
	defer r.Close()

	content, err = io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		if errors.As(err, new(*fault.Error)) {
			return nil, false, err //nolint:wrapcheck // the object store's own fault
		}
		return nil, false, fault.Wrap(fault.StorageUnavailable, "the object store did not return the content", err)
	}

	if int64(len(content)) > limit {
		return content[:limit], true, nil
	}

	return content, false, nil
}

// pictures returns the images inside a mail that inspection found clean. It reads at most
// maxReads objects in all, and none that the ledger already rules out.
func (m *mailReader) pictures(ctx context.Context, email *ledger.EmailDetail) picture {
	named := map[string]mail.Attachment{}
	for _, a := range email.Attachments {
		if _, known := named[a.ContentID]; !known && a.ContentID != "" && a.Key != "" {
			named[a.ContentID] = a
		}
	}

	reads, spent := 0, int64(0)
	return func(contentID string) ([]byte, string, bool) {
		if decoded, err := url.PathUnescape(contentID); err == nil {
			contentID = decoded
		}
		a, ok := named[contentID]
		if !ok || a.Verdict != mail.Clean || a.Size > maxImage || !slices.Contains(shown, a.DetectedType) ||
			reads >= maxReads || spent+a.Size > maxImages {
			return nil, "", false
		}
		reads++
		spent += a.Size
		content, more, err := m.read(ctx, blob.Attachments, a.Key, maxImage)
		return content, a.DetectedType, err == nil && !more
	}
}

// sourcePage is the raw source of an email, or its beginning.
type sourcePage struct {
	Email   *ledger.EmailDetail
	Text    string
	Cut     bool
	MIME    bool // the mail itself; else what the provider posted
	HasMIME bool
}

// raw shows the source as text.
func (h *emailPages) raw(g *gin.Context) error {
	email, err := h.find(g)
	if err != nil {
		return err
	}

	ctx := g.Request.Context()
	if access.From(ctx).In(email.Tenant) < access.Operator {
		return fault.New(fault.Forbidden, "reading raw mail needs the operator role in this email's tenant")
	}

	body, err := h.emails.Body(ctx, email.ID)
	if err != nil {
		return err
	}

	key := body.Key
	page := sourcePage{Email: email}
	if body.Stored {
		manifest, err := h.emails.Manifest(ctx, email.ID)
		if err != nil {
			return err
		}
		page.HasMIME = manifest.MIMEKey != ""
		if page.HasMIME && g.Query("part") != "body" {
			page.MIME, key = true, manifest.MIMEKey
		}
	}

	text := body.Inline
	if key != "" {
		if text, page.Cut, err = h.read(ctx, blob.Raw, key, maxSource); err != nil {
			return err
		}
	} else if len(text) > maxSource {
		text, page.Cut = text[:maxSource], true
	}

	if !page.MIME {
		// What a provider posts is one line of JSON; people read several.
		var pretty bytes.Buffer
		if !page.Cut && json.Indent(&pretty, text, "", "  ") == nil {
			text = pretty.Bytes()
		}
	}

	page.Text = showLines(string(text))
	return h.render(g, http.StatusOK, "raw", layout{Title: "Source of " + cut(80, show(email.EventID)), Area: "emails", Body: page})
}

// shorten cuts text at a whole character and reports whether it did.
func shorten(text string, limit int) (string, bool) {
	if len(text) <= limit {
		return text, false
	}
	return strings.ToValidUTF8(text[:limit], ""), true
}
