package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"mailroom/shared/auditchain"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Bounds of a page of the audit chain, and of the differences that are listed.
const (
	maxAuditPage   = 1000
	maxDifferences = 100
)

// Auditor reads the audit chain and the custody of emails.
type Auditor interface {
	// Timeline returns what happened to an email, oldest first.
	Timeline(ctx context.Context, emailID int64) ([]ledger.TimelineEntry, error)
	// ExportCustody returns an email's chain of custody and records the export in the chain.
	ExportCustody(ctx context.Context, emailID int64, actor, via string) (*auditchain.Document, error)
	// Audit returns the entries that follow a number, in their order.
	Audit(ctx context.Context, after int64, limit int) ([]auditchain.Entry, error)
	AuditHead(ctx context.Context) (auditchain.Head, error)
	// CheckDecisions compares the rows of decisions with the chain.
	CheckDecisions(ctx context.Context, limit int) (checked int64, wrong []ledger.AuditDifference, err error)
}

// audit shows the audit chain as a whole, which is about every tenant. One email's part of
// it is custody.
type audit struct {
	auditor Auditor
	checks  chan struct{}
}

// auditEntries is a page of the chain. Head is where the chain ended at that time.
type auditEntries struct {
	Entries []auditchain.Entry `json:"entries"`
	Head    auditchain.Head    `json:"head"`
}

func (a *audit) list(c *gin.Context) error {
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
	if out.Head, err = a.auditor.AuditHead(c.Request.Context()); err != nil {
		return err
	}
	if out.Entries, err = a.auditor.Audit(c.Request.Context(), after, limit); err != nil {
		return err
	}
	if out.Entries == nil {
		out.Entries = []auditchain.Entry{}
	}

	c.JSON(http.StatusOK, out)
	return nil
}

func (a *audit) head(c *gin.Context) error {
	head, err := a.auditor.AuditHead(c.Request.Context())
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, head)
	return nil
}

// auditCheck says whether the rows of decisions are what the chain says.
type auditCheck struct {
	Checked int64                    `json:"checked"`
	Wrong   []ledger.AuditDifference `json:"wrong"`
}

func (a *audit) decisions(c *gin.Context) error {
	leave, err := enter(a.checks)
	if err != nil {
		return err
	}
	defer leave()
	var out auditCheck
	if out.Checked, out.Wrong, err = a.auditor.CheckDecisions(c.Request.Context(), maxDifferences); err != nil {
		return err
	}
	c.JSON(http.StatusOK, out)
	return nil
}
