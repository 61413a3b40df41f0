package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Timelines tells what happened to an email.
type Timelines interface {
	// Timeline returns what happened to an email, oldest first.
	Timeline(ctx context.Context, emailID int64) ([]ledger.TimelineEntry, error)
}

// emails lists emails and shows one.
type emails struct {
	finder
	timelines Timelines
}

// page is the answer of the list. NextCursor is empty on the last page.
type page struct {
	Emails     []ledger.EmailRow `json:"emails"`
	NextCursor string            `json:"next_cursor"`
}

func (e *emails) list(c *gin.Context) error {
	q, err := parameters(c, "state", "reason", "source", "tenant", "sender", "recipient", "destination", "since", "until", "q", "cursor", "limit")
	if err != nil {
		return err
	}
	f := ledger.Filter{
		Reason: contract.Reason(q["reason"]), Source: q["source"], Tenant: q["tenant"],
		Sender: q["sender"], Recipient: q["recipient"], Destination: q["destination"], Query: q["q"], Cursor: q["cursor"],
	}
	if text := q["state"]; text != "" {
		var known bool
		if f.State, known = contract.StateOf(text); !known {
			return fault.Newf(fault.RequestInvalid, "state must be one of %s", contract.StateWords())
		}
	}
	if f.Reason != "" && !slices.Contains(contract.Reasons, f.Reason) {
		return fault.Newf(fault.RequestInvalid, "reason must be one of %v", contract.Reasons)
	}
	for name, bound := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if q[name] == "" {
			continue
		}
		if *bound, err = time.Parse(time.RFC3339, q[name]); err != nil {
			return fault.Newf(fault.RequestInvalid, "%s must be a time such as 2026-11-01T10:00:00Z", name)
		}
	}
	if f.Limit, err = limitOf(q["limit"]); err != nil {
		return err
	}

	f.Tenants = tenantsOf(c)
	rows, next, err := e.reader.ListEmails(c.Request.Context(), f)
	if err != nil {
		return err
	}
	if rows == nil {
		rows = []ledger.EmailRow{}
	}
	c.JSON(http.StatusOK, page{Emails: rows, NextCursor: next})
	return nil
}

func (e *emails) show(c *gin.Context) error {
	email, _, err := e.find(c, anySource)
	if err != nil {
		return err
	}
	if email.Timeline, err = e.timelines.Timeline(c.Request.Context(), email.ID); err != nil {
		return err
	}
	c.JSON(http.StatusOK, newDetail(email))
	return nil
}

// detail is the answer about one email: the ledger's, with attachments that
// show every field, empty or not.
type detail struct {
	*ledger.EmailDetail
	Attachments []attachmentRow `json:"attachments"`
}

type attachmentRow struct {
	Filename     string       `json:"filename"`
	Size         int64        `json:"size"`
	SHA256       string       `json:"sha256"`
	ContentType  string       `json:"content_type"`
	ContentID    string       `json:"content_id"`
	DetectedType string       `json:"detected_type"`
	Verdict      mail.Verdict `json:"verdict"`
	Signature    string       `json:"signature"`
}

func newDetail(email *ledger.EmailDetail) detail {
	d := detail{EmailDetail: email, Attachments: make([]attachmentRow, 0, len(email.Attachments))}
	for _, a := range email.Attachments {
		d.Attachments = append(d.Attachments, attachmentRow{
			Filename: a.Filename, Size: a.Size, SHA256: a.SHA256, ContentType: a.ContentType, ContentID: a.ContentID,
			DetectedType: a.DetectedType, Verdict: a.Verdict, Signature: a.Signature,
		})
	}
	return d
}
