package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// maxParameter bounds one parameter of a query in bytes.
const maxParameter = 1000

// page is the answer of the list. NextCursor is empty on the last page.
type page struct {
	Emails     []ledger.EmailRow `json:"emails"`
	NextCursor string            `json:"next_cursor"`
}

func (h *handler) list(c *gin.Context) error {
	q, err := parameters(c, "state", "reason", "source", "tenant", "sender", "recipient", "destination", "since", "until", "q", "cursor", "limit")
	if err != nil {
		return err
	}
	f := ledger.Filter{
		State: contract.State(q["state"]), Reason: contract.Reason(q["reason"]), Source: q["source"],
		Tenant: q["tenant"], Sender: q["sender"], Recipient: q["recipient"], Destination: q["destination"],
		Query: q["q"], Cursor: q["cursor"], Limit: ledger.DefaultLimit,
	}
	if f.State != "" && !slices.Contains(contract.States, f.State) {
		return fault.Newf(fault.RequestInvalid, "state must be one of %v", contract.States)
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
	if q["limit"] != "" {
		f.Limit, err = strconv.Atoi(q["limit"])
		if err != nil || f.Limit < 1 || f.Limit > ledger.MaxLimit {
			return fault.Newf(fault.RequestInvalid, "limit must be a number from 1 to %d", ledger.MaxLimit)
		}
	}
	f.Tenants, _ = caller(c).Tenants(access.Viewer)
	rows, next, err := h.reader.ListEmails(c.Request.Context(), f)
	if err != nil {
		return err
	}
	if rows == nil {
		rows = []ledger.EmailRow{}
	}
	c.JSON(http.StatusOK, page{Emails: rows, NextCursor: next})
	return nil
}

func (h *handler) show(c *gin.Context) error {
	email, _, err := h.find(c, anySource)
	if err != nil {
		return err
	}
	if err := h.withTimeline(c.Request.Context(), email); err != nil {
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

// anySource lets find choose among sources that use the same event id.
const anySource fault.Code = ""

// find returns the email that the path names, by its event id or by its number, with
// the other parameters of the query, of which only those listed may be there. Only
// emails of tenants in which the caller has a role are found. An id that means several
// of them is refused with the code ambiguous unless the query names a source that has
// just one; with anySource the newest of them is taken, which is good enough to look at.
func (h *handler) find(c *gin.Context, ambiguous fault.Code, allowed ...string) (*ledger.EmailDetail, map[string]string, error) {
	look, q, err := h.lookup(c, ambiguous, allowed...)
	if err != nil {
		return nil, nil, err
	}

	email, err := h.reader.FindEmail(c.Request.Context(), look)
	if err != nil {
		return nil, nil, err
	}
	if err := visible(c, email.Tenant, noEmail); err != nil {
		return nil, nil, err
	}
	if err := permit(c, email.Tenant, leastOf(c)); err != nil {
		return nil, nil, err
	}
	return email, q, nil
}

// noEmail is said of an email that is not there and of one of another tenant.
const noEmail = "no email with this id"

// lookup reads what the path and the query name, within the caller's tenants.
func (h *handler) lookup(c *gin.Context, ambiguous fault.Code, allowed ...string) (l ledger.Lookup, q map[string]string, err error) {
	l.Tenants, _ = caller(c).Tenants(access.Viewer)
	if text := c.Param("number"); text != "" {
		if q, err = parameters(c, allowed...); err != nil {
			return l, nil, err
		}
		if l.Number, err = strconv.ParseInt(text, 10, 64); err != nil || l.Number < 1 {
			return l, nil, fault.New(fault.NotFound, noEmail)
		}
		return l, q, nil
	}

	if l.EventID, err = pathValue(c, "event_id"); err != nil {
		return l, nil, err
	}
	if q, err = parameters(c, append(allowed, "source")...); err != nil {
		return l, nil, err
	}
	l.Source = q["source"]
	if ambiguous != anySource {
		l, err = h.only(c, ambiguous, l)
	}
	return l, q, err
}

// only turns a lookup into one of the single email that it means, by its number: another
// one that comes meanwhile is not met.
func (h *handler) only(c *gin.Context, ambiguous fault.Code, l ledger.Lookup) (ledger.Lookup, error) {
	matches, err := h.reader.Matches(c.Request.Context(), l)
	switch {
	case err != nil:
		return l, err
	case len(matches) == 0:
		return l, fault.New(fault.NotFound, noEmail)
	case len(matches) == 1:
		return ledger.Lookup{Number: matches[0].Number, Tenants: l.Tenants}, nil
	}

	names := make([]string, len(matches))
	for i, m := range matches {
		names[i] = fmt.Sprintf("%d (%s)", m.Number, m.Source)
	}
	return l, fault.New(ambiguous, "this id means more than one email: name one by its source (?source=, --source) or by its number: "+strings.Join(names, ", "))
}

// parameters reads the query. A parameter that is unknown, repeated, overlong or
// not plain text is refused: a mistyped filter must not show everything.
func parameters(c *gin.Context, allowed ...string) (map[string]string, error) {
	query, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return nil, fault.New(fault.RequestInvalid, "the query cannot be read")
	}
	out := make(map[string]string, len(query))
	for name, values := range query {
		switch {
		case !slices.Contains(allowed, name):
			return nil, fault.Newf(fault.RequestInvalid, "the query may only hold %v", allowed)
		case len(values) > 1:
			return nil, fault.Newf(fault.RequestInvalid, "%s is there more than once", name)
		case len(values[0]) > maxParameter || !access.Plain(values[0]):
			return nil, fault.Newf(fault.RequestInvalid, "%s must be at most %d bytes of printable UTF-8", name, maxParameter)
		}
		out[name] = values[0]
	}
	return out, nil
}
