package operator

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// walk is one request to a route of the table, with what must hold for it. least
// and scope are said here again, so that a slip in the table is seen. A route needs
// a walk at least; it may have several.
type walk struct {
	method, pattern string
	path, body      string
	least           access.Role
	scope           access.Scope
	auth            access.Auth
	// shared routes show something to a caller whose role is for another tenant
	// than that of the email in the fakes, narrowed to what is theirs.
	shared bool
}

// walks has a row for every route, by area; TestEveryRouteWithEveryRole fails for
// a route without.
func walks() []walk {
	return slices.Concat(emailWalks(), editWalks(), sourceWalks(), replayWalks(), codecWalks())
}

func emailWalks() []walk {
	const email = "/api/v1/emails/:event_id"
	return []walk{
		{method: "GET", pattern: "/api/v1/emails", path: "/api/v1/emails", least: access.Viewer, shared: true},
		{method: "GET", pattern: email, path: emailURL, least: access.Viewer},
		{method: "GET", pattern: email + "/raw", path: emailURL + "/raw", least: access.Operator},
		{method: "GET", pattern: email + "/raw", path: emailURL + "/raw?part=mime", least: access.Operator},
		{method: "GET", pattern: email + "/attachments/:sha256", path: emailURL + "/attachments/" + sum(cleanContent), least: access.Viewer},
		{method: "POST", pattern: email + "/decisions", path: emailURL + "/decisions", body: approveBody, least: access.Operator},
	}
}

func sourceWalks() []walk {
	return []walk{
		{method: "GET", pattern: "/api/v1/sources", path: "/api/v1/sources", least: access.Viewer, shared: true},
		{method: "GET", pattern: "/api/v1/sources/:name/failures", path: "/api/v1/sources/mailparse/failures", least: access.Operator},
	}
}

// wants gives the status for a caller.
func (w walk) wants(as string) int {
	allowed := func(ok bool) int {
		if ok {
			return http.StatusOK
		}
		return http.StatusForbidden
	}
	switch as {
	case "viewer":
		return allowed(access.Viewer >= w.least)
	case "operator":
		return allowed(access.Operator >= w.least)
	case "admin":
		return http.StatusOK
	case "local": // admin of the email's tenant alone
		return allowed(w.scope == access.SomeTenant)
	case "mixed": // viewer everywhere, operator of another tenant
		return allowed(access.Viewer >= w.least)
	case "foreign": // admin of another tenant alone
		switch {
		case w.scope == access.EveryTenant:
			return http.StatusForbidden
		case w.shared:
			return http.StatusOK
		}
		return http.StatusNotFound
	}
	return http.StatusUnauthorized
}

// TestEveryRouteWithEveryRole walks the whole table. A route that somebody adds
// without a walk fails it.
func TestEveryRouteWithEveryRole(t *testing.T) {
	t.Parallel()
	codes := map[int]fault.Code{
		http.StatusUnauthorized: fault.Unauthorized, http.StatusForbidden: fault.Forbidden, http.StatusNotFound: fault.NotFound,
	}
	table := map[string]access.Route{}
	for _, r := range setup(t).handler.routes() {
		table[r.Method+" "+r.Path] = r
	}
	walked := map[string]bool{}
	for _, w := range walks() {
		name := w.method + " " + w.pattern
		walked[name] = true
		r, known := table[name]
		require.True(t, known, "%s is walked and not in the table", name)
		require.Equal(t, w.least, r.Least, name)
		require.Equal(t, w.scope, r.Scope, name)
		require.Equal(t, w.auth, r.Auth, name)
		t.Run(w.method+" "+w.path, func(t *testing.T) {
			t.Parallel()
			for _, as := range []string{"", "unknown", "viewer", "operator", "admin", "local", "mixed", "foreign"} {
				b := setup(t)
				resp, body := b.do(t, w.method, w.path, as, w.body)
				want := w.wants(as)
				require.Equal(t, want, resp.StatusCode, "%s: %s", as, body)
				require.Equal(t, want == http.StatusUnauthorized, resp.Header.Get("WWW-Authenticate") != "")
				if want != http.StatusOK {
					requireRefused(t, resp, body, want, codes[want])
					require.Empty(t, b.decider.seen(), as)
				}
			}
		})
	}
	for name := range table {
		require.True(t, walked[name], "no walk for %s", name)
	}
}

// TestUncleanAttachmentsAskForMore is about the one route whose least role follows
// from what it shows.
func TestUncleanAttachmentsAskForMore(t *testing.T) {
	t.Parallel()
	for as, want := range map[string]int{
		"": 401, "viewer": 403, "mixed": 403, "operator": 200, "admin": 200, "local": 200, "foreign": 404,
	} {
		resp, body := setup(t).do(t, "GET", emailURL+"/attachments/"+sum(infectedContent), as, "")
		require.Equal(t, want, resp.StatusCode, "%s: %s", as, body)
	}
}

func TestListsAreNarrowed(t *testing.T) {
	t.Parallel()
	for as, want := range map[string][]string{"viewer": nil, "mixed": nil, "local": {"default"}, "foreign": {"acme"}} {
		b := setup(t)
		resp, body := b.do(t, "GET", "/api/v1/emails", as, "")
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, ledger.Filter{Limit: ledger.DefaultLimit, Tenants: want}, b.reader.filter, as)
	}
	b := setup(t)
	_, body := b.do(t, "GET", "/api/v1/sources", "foreign", "")
	require.JSONEq(t, `{"sources":[]}`, body)
}

// TestAnIDThatAnotherTenantUses: what others have under the same id is neither
// shown nor in the way.
func TestAnIDThatAnotherTenantUses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	theirs := *b.reader.email
	theirs.ID, theirs.Source, theirs.Tenant = 8, "theirs", "acme"
	b.reader.more = []*ledger.EmailDetail{&theirs}
	for _, path := range []string{emailURL, emailURL + "/raw"} {
		resp, body := b.do(t, "GET", path, "local", "")
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.NotContains(t, body, `"theirs"`)
	}
	resp, body := b.do(t, "GET", emailURL, "foreign", "")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Contains(t, body, `"source":"theirs"`)
	resp, body = b.do(t, "GET", emailURL+"?source=theirs", "local", "")
	requireRefused(t, resp, body, http.StatusNotFound, fault.NotFound)
	resp, body = b.do(t, "GET", emailURL+"/raw", "admin", "")
	requireRefused(t, resp, body, http.StatusBadRequest, fault.RequestInvalid)
	resp, body = b.do(t, "POST", emailURL+"/decisions", "local", approveBody)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
}
