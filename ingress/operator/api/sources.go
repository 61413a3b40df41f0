package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// sources shows the webhook sources and their failed verifications.
type sources struct{ service *operations.Sources }

// list shows the sources of the caller's tenants. It also answers while the ledger is
// unavailable.
func (s *sources) list(c *gin.Context) error {
	if _, err := parameters(c); err != nil {
		return err
	}
	tenants, _ := caller(c).Tenants(access.Viewer)
	c.JSON(http.StatusOK, map[string]any{"sources": s.service.List(c.Request.Context(), tenants)})
	return nil
}

// listFailures shows which verifications of a source failed, at all ingresses, since a time
// (RFC 3339; default: 24 hours ago).
func (s *sources) listFailures(c *gin.Context) error {
	name, err := pathValue(c, "name")
	if err != nil {
		return fault.New(fault.NotFound, "there is no such source")
	}
	q, err := parameters(c, "since", "limit")
	if err != nil {
		return err
	}

	var since time.Time
	limit := ledger.DefaultFailures
	if q["since"] != "" {
		if since, err = time.Parse(time.RFC3339, q["since"]); err != nil {
			return fault.New(fault.RequestInvalid, "since must be a time such as 2026-11-01T10:00:00Z")
		}
	}

	if q["limit"] != "" {
		if limit, err = strconv.Atoi(q["limit"]); err != nil || limit < 1 || limit > ledger.MaxFailures {
			return fault.Newf(fault.RequestInvalid, "limit must be a number from 1 to %d", ledger.MaxFailures)
		}
	}

	page, err := s.service.ListFailures(c.Request.Context(), caller(c), leastOf(c), name, since, limit)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, page)
	return nil
}
