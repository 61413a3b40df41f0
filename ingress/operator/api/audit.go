package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/auditchain"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Bounds of a page of the audit chain, and of the differences that are listed.
const (
	maxAuditPage   = 1000
	maxDifferences = 100
)

// Auditor reads what can be proved.
type Auditor interface {
	// Timeline tells an email's way, oldest first.
	Timeline(ctx context.Context, emailID int64) ([]ledger.TimelineEntry, error)
	// ExportCustody gives an email's chain of custody and notes in the chain who had it.
	ExportCustody(ctx context.Context, emailID int64, actor, via string) (*auditchain.Document, error)
	// Audit gives the entries that come after a number, in their order.
	Audit(ctx context.Context, after int64, limit int) ([]auditchain.Entry, error)
	AuditHead(ctx context.Context) (auditchain.Head, error)
	// CheckDecisions compares the rows of decisions with the chain.
	CheckDecisions(ctx context.Context, limit int) (checked int64, wrong []ledger.AuditDifference, err error)
}

// auditRoutes are about what can be proved: the chain as a whole, which is about every
// tenant. One email's part of it is its tenant's, and among the routes of emails.
func (h *handler) auditRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: "/api/v1/audit", Least: access.Admin, Scope: access.EveryTenant, Handle: h.auditPage},
		{Method: http.MethodGet, Path: "/api/v1/audit/head", Least: access.Admin, Scope: access.EveryTenant, Handle: h.auditHead},
		{Method: http.MethodGet, Path: "/api/v1/audit/decisions", Least: access.Admin, Scope: access.EveryTenant, Handle: h.auditDecisions},
	}
}

// audited gives the Auditor, or the answer of an API without one.
func (h *handler) audited() (Auditor, error) {
	if h.auditor == nil {
		return nil, fault.New(fault.NotFound, "there is nothing at this path")
	}
	return h.auditor, nil
}

func (h *handler) custody(c *gin.Context) error {
	auditor, err := h.audited()
	if err != nil {
		return err
	}
	email, _, err := h.find(c, fault.RequestInvalid)
	if err != nil {
		return err
	}
	if err := h.exports.allow(caller(c).Name, email.ID, h.now()); err != nil {
		return err
	}
	leave, err := enter(h.exports.turns)
	if err != nil {
		return err
	}
	defer leave()
	document, err := auditor.ExportCustody(c.Request.Context(), email.ID, caller(c).Name, string(access.Via(c)))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, document)
	return nil
}

// auditEntries is a page of the chain. Head is where the chain ended at that time.
type auditEntries struct {
	Entries []auditchain.Entry `json:"entries"`
	Head    auditchain.Head    `json:"head"`
}

func (h *handler) auditPage(c *gin.Context) error {
	auditor, err := h.audited()
	if err != nil {
		return err
	}
	q, err := parameters(c, "after", "limit")
	if err != nil {
		return err
	}
	after, limit := int64(0), maxAuditPage
	if q["after"] != "" {
		if after, err = strconv.ParseInt(q["after"], 10, 64); err != nil || after < 0 {
			return fault.New(fault.RequestInvalid, "after must be the number of an entry")
		}
	}
	if q["limit"] != "" {
		if limit, err = strconv.Atoi(q["limit"]); err != nil || limit < 1 || limit > maxAuditPage {
			return fault.Newf(fault.RequestInvalid, "limit must be a number from 1 to %d", maxAuditPage)
		}
	}
	var out auditEntries
	// The head first: what is appended in between is then beyond it and not missing.
	if out.Head, err = auditor.AuditHead(c.Request.Context()); err != nil {
		return err
	}
	if out.Entries, err = auditor.Audit(c.Request.Context(), after, limit); err != nil {
		return err
	}
	if out.Entries == nil {
		out.Entries = []auditchain.Entry{}
	}
	c.JSON(http.StatusOK, out)
	return nil
}

func (h *handler) auditHead(c *gin.Context) error {
	auditor, err := h.audited()
	if err != nil {
		return err
	}
	head, err := auditor.AuditHead(c.Request.Context())
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, head)
	return nil
}

// auditCheck tells whether the rows of decisions are what the chain says.
type auditCheck struct {
	Checked int64                    `json:"checked"`
	Wrong   []ledger.AuditDifference `json:"wrong"`
}

func (h *handler) auditDecisions(c *gin.Context) error {
	auditor, err := h.audited()
	if err != nil {
		return err
	}
	leave, err := enter(h.exports.checks)
	if err != nil {
		return err
	}
	defer leave()
	var out auditCheck
	if out.Checked, out.Wrong, err = auditor.CheckDecisions(c.Request.Context(), maxDifferences); err != nil {
		return err
	}
	c.JSON(http.StatusOK, out)
	return nil
}

// withTimeline adds an email's way to what is shown of it.
func (h *handler) withTimeline(ctx context.Context, email *ledger.EmailDetail) error {
	if h.auditor == nil {
		return nil
	}
	var err error
	email.Timeline, err = h.auditor.Timeline(ctx, email.ID)
	return err
}
