package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
)

// visit is one request to a page, with the status for each caller. What the table of
// routes says is repeated here, so that a slip in the table fails the test.
type visit struct {
	method, pattern, path string
	form                  url.Values
	least                 access.Role
	scope                 access.Scope

	ok      int // for a role in every tenant that is high enough; 0: 200
	local   int // for an admin of the email's tenant alone; 0: as ok
	mixed   int // for a viewer of the email's tenant who is operator of another one; 0: as ok
	foreign int // for an admin of another tenant alone; 0: as ok
}

// visits returns a visit for each route; TestEveryPageWithEveryRole fails for a route
// without.
func visits(b *bundle) []visit {
	const (
		email, source = "/emails/:event_id", "?source=mailparse"
		get, post     = http.MethodGet, http.MethodPost
		sees, forbids = http.StatusSeeOther, http.StatusForbidden
		hides         = http.StatusNotFound
	)
	at := strings.Replace(email, ":event_id", "evt_0001", 1)
	note := url.Values{"note": {"a test"}}
	edit := url.Values{"seen": {seen(b.emails.emails[0])}, "recipients": {"support@yourapp.example"}}
	sample := url.Values{"recipients": {"support@yourapp.example"}}
	plan := url.Values{"reason": {"unroutable"}, "state": {"quarantined"}, "action": {"retry"}, "rate": {"50"}, "note": {"a test"}, "from": {"held"}}

	return []visit{
		{method: get, pattern: "/", path: "/", least: access.Viewer},
		{method: get, pattern: "/inbox", path: "/inbox", least: access.Viewer},
		{method: get, pattern: "/emails", path: "/emails", least: access.Viewer},
		{method: get, pattern: email, path: at + source, least: access.Viewer, foreign: hides},
		{method: get, pattern: email + "/html", path: at + "/html" + source, least: access.Viewer, foreign: hides},
		{method: get, pattern: email + "/raw", path: at + "/raw" + source, least: access.Operator, mixed: forbids, foreign: hides},
		{method: post, pattern: email + "/decisions", path: at + "/decisions" + source, form: b.decision(), least: access.Operator, ok: sees, mixed: forbids, foreign: hides},
		{method: get, pattern: email + "/edit", path: at + "/edit" + source, least: access.Operator, mixed: forbids, foreign: hides},
		{method: post, pattern: email + "/edit", path: at + "/edit" + source, form: edit, least: access.Operator, mixed: forbids, foreign: hides},
		{method: get, pattern: "/destinations", path: "/destinations", least: access.Viewer},
		{method: post, pattern: "/destinations/:name/:verb", path: "/destinations/crm/pause", form: note, least: access.Operator, ok: sees, local: forbids, mixed: forbids, foreign: forbids},
		{method: get, pattern: "/routes", path: "/routes", least: access.Viewer},
		{method: post, pattern: "/routes", path: "/routes", form: sample, least: access.Viewer},
		{method: get, pattern: "/sources", path: "/sources", least: access.Viewer},
		{method: get, pattern: "/sources/:name/failures", path: "/sources/mailparse/failures", least: access.Operator, mixed: forbids, foreign: hides},
		{method: get, pattern: "/replays", path: "/replays", least: access.Operator},
		{method: get, pattern: "/replays/new", path: "/replays/new", least: access.Operator},
		{method: post, pattern: "/replays", path: "/replays", form: plan, least: access.Operator, ok: sees},
		{method: get, pattern: "/replays/:id", path: "/replays/7", least: access.Operator, local: hides, mixed: hides, foreign: hides},
		{method: post, pattern: "/replays/:id/:verb", path: "/replays/7/pause", least: access.Operator, ok: sees, local: hides, mixed: hides, foreign: hides},
		{method: get, pattern: "/tokens", path: "/tokens", least: access.Admin},
		{method: get, pattern: "/audit", path: "/audit", least: access.Admin, scope: access.EveryTenant},
		{method: get, pattern: "/help/:page", path: "/help/runbook", least: access.Viewer},
		{method: get, pattern: "/events", path: "/events", least: access.Viewer},
	}
}

// wants returns the status for a caller.
func (v visit) wants(as access.Identity) int {
	allowed, special := as.Best() >= v.least, 0
	switch as.Name {
	case "local":
		special = v.local
	case "mixed":
		special = v.mixed
	case "foreign":
		special = v.foreign
	}
	if v.scope == access.EveryTenant {
		allowed = as.In(access.Everywhere) >= v.least
	}

	switch {
	case !allowed:
		return http.StatusForbidden
	case special != 0:
		return special
	case v.ok != 0:
		return v.ok
	}
	return http.StatusOK
}

// send sends the request of a visit. its context ends, which ends the live connection
// of /events at once.
func (v visit) send(t *testing.T, b *bundle, as access.Identity) *httptest.ResponseRecorder {
	t.Helper()
	if v.method == http.MethodPost {
		return b.post(t, as, v.path, v.form)
	}
	if v.pattern != "/events" {
		return b.get(t, as, v.path)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	rec := httptest.NewRecorder()
	b.handler(as).ServeHTTP(rec, httptest.NewRequestWithContext(ctx, v.method, v.path, nil))
	return rec
}

// TestEveryPageWithEveryRole requests every route of the console with every role; a route
// without a visit fails it. That a page requires a session is a test of package api.
func TestEveryPageWithEveryRole(t *testing.T) {
	t.Parallel()
	public := map[string]bool{"GET /static/:name": true, "GET /favicon.ico": true}
	table := map[string]access.Route{}
	for _, r := range setup(t).console.Routes() {
		name := r.Method + " " + r.Path
		require.Equal(t, public[name], r.Auth == access.Public, name)
		if !public[name] {
			require.Equal(t, access.Page, r.Auth, name)
			table[name] = r
		}
	}

	callers := []access.Identity{
		unknown,
		who("viewer", access.Viewer, access.Everywhere),
		who("operator", access.Operator, access.Everywhere),
		who("admin", access.Admin, access.Everywhere),
		who("local", access.Admin, "default"),
		{Name: "mixed", Roles: map[string]access.Role{"default": access.Viewer, "other": access.Operator}},
		who("foreign", access.Admin, "other"),
	}
	visited := map[string]bool{}
	for _, v := range visits(setup(t)) {
		name := v.method + " " + v.pattern
		visited[name] = true
		require.Contains(t, table, name)
		require.Equal(t, v.least, table[name].Least, name)
		require.Equal(t, v.scope, table[name].Scope, name)
		for _, as := range callers {
			b := setup(t)
			rec := v.send(t, b, as)
			require.Equal(t, v.wants(as), rec.Code, "%s as %q: %s", name, as.Name, rec.Body)
			if rec.Code >= http.StatusBadRequest {
				require.Empty(t, b.decisions.seen(), name)
				require.Empty(t, b.fakes.paused, name)
				require.Empty(t, b.fakes.steered, name)
				require.Empty(t, b.fakes.planned, name)
			}
		}
	}
	for name := range table {
		require.True(t, visited[name], "no visit for %s", name)
	}
}
