package console

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// sourcePages shows the webhook sources and their failed verifications.
type sourcePages struct {
	*site
	service Sources
}

// sourcesPage lists where mail comes from.
type sourcesPage struct {
	Sources  []sourceRow
	ByTenant bool // the caller sees more than one tenant
}

type sourceRow struct {
	operations.Source
	Counted bool    // the failures are known
	Failed  []tally // most first
	MayList bool    // the caller may see where they came from
}

func (h *sourcePages) list(g *gin.Context) error {
	ctx := g.Request.Context()
	who := access.From(ctx)
	var page sourcesPage
	tenants := map[string]bool{}
	for _, s := range h.service.List(ctx, seeing(who)) {
		tenants[s.Tenant] = true
		page.Sources = append(page.Sources, sourceRow{
			Source: s, Counted: s.Failures24h != nil, Failed: byCount(s.Failures24h), MayList: who.In(s.Tenant) >= access.Operator,
		})
	}
	page.ByTenant = len(tenants) > 1
	return h.render(g, http.StatusOK, "sources", layout{Title: "Sources", Area: "sources", Body: page})
}

// failuresPage lists the failed verifications of a source.
type failuresPage struct {
	operations.FailuresPage
	Span  string
	Spans []lookBack
}

// lookBack is how far back the failures go.
type lookBack struct {
	Value, Name string
	Back        time.Duration
}

// lookBacks are those of the form; the first is the default. Failures older than 30 days are
// deleted unless ingress.keep_failures says otherwise.
var lookBacks = []lookBack{
	{"24h", "one day", 24 * time.Hour}, {"168h", "seven days", 7 * 24 * time.Hour}, {"720h", "30 days", 30 * 24 * time.Hour},
}

func (h *sourcePages) failures(g *gin.Context) error {
	name, err := url.PathUnescape(g.Param("name"))
	if err != nil {
		return fault.New(fault.NotFound, "there is no such source")
	}
	since := max(slices.IndexFunc(lookBacks, func(l lookBack) bool { return l.Value == g.Query("since") }), 0)

	ctx := g.Request.Context()
	found, err := h.service.ListFailures(ctx, access.From(ctx), access.Operator, name, h.now().Add(-lookBacks[since].Back), ledger.DefaultFailures)
	if err != nil {
		return err
	}
	return h.render(g, http.StatusOK, "failures", layout{
		Title: "Failed verifications", Area: "sources", Body: failuresPage{FailuresPage: found, Span: lookBacks[since].Value, Spans: lookBacks},
	})
}
