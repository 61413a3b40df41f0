package api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// walk is one request to a route of the table, with what must hold for it. least,
// scope and auth are said here again, so that a slip in the table is seen. A route
// needs a walk at least; it may have several.
type walk struct {
	method, pattern string
	path, body      string
	least           access.Role
	scope           access.Scope
	auth            access.Auth
	// ok is the status for callers that may use it; 200 where it is not given.
	ok int
	// shared routes show something to a caller whose role is for another tenant
	// than that of the email in the fakes, narrowed to what is theirs.
	shared bool
	// anyone is the status of a Public route, for any caller.
	anyone int
	// before prepares what the request is about.
	before func(t *testing.T, b *testBundle)
}

// walks has a row for every route, by area; TestEveryRouteWithEveryRole fails for
// a route without.
func walks() []walk {
	return slices.Concat(
		emailWalks(),
		editWalks(),
		numberWalks(),
		sourceWalks(),
		replayWalks(),
		codecWalks(),
		tokenWalks(),
		loginWalks(),
		auditWalks(),
		operationsWalks(),
	)
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
		{method: "GET", pattern: email + "/custody", path: emailURL + "/custody", least: access.Operator},
	}
}

// numberWalks are those of an email that is named by its number, which answers alike.
func numberWalks() []walk {
	var out []walk
	for _, w := range slices.Concat(emailWalks(), editWalks()) {
		if w.path == "/api/v1/emails" {
			continue
		}
		w.pattern = strings.Replace(w.pattern, "/emails/:event_id", "/emails-by-number/:number", 1)
		w.path = strings.Replace(w.path, emailURL, numberURL, 1)
		out = append(out, w)
	}
	return out
}

func sourceWalks() []walk {
	return []walk{
		{method: "GET", pattern: "/api/v1/sources", path: "/api/v1/sources", least: access.Viewer, shared: true},
		{method: "GET", pattern: "/api/v1/sources/:name/failures", path: "/api/v1/sources/mailparse/failures", least: access.Operator},
	}
}

func tokenWalks() []walk {
	const all = "/api/v1/tokens"
	return []walk{
		{method: "GET", pattern: all, path: all, least: access.Admin, shared: true},
		{
			method: "POST", pattern: all, path: all, least: access.Admin, scope: access.EveryTenant, ok: http.StatusCreated,
			body: `{"name":"ci","roles":{"acme":"operator"},"expires_at":"2027-01-01T00:00:00Z"}`,
		},
		{
			method: "DELETE", pattern: all + "/:name", path: all + "/made", least: access.Admin, scope: access.EveryTenant,
			before: func(t *testing.T, b *testBundle) { t.Helper(); b.makeToken(t, "made", nil) },
		},
	}
}

func loginWalks() []walk {
	return []walk{
		{method: "GET", pattern: "/login", path: "/login", auth: access.Public, anyone: http.StatusOK},
		{method: "POST", pattern: "/login", path: "/login", auth: access.Public, anyone: http.StatusUnauthorized},
		{method: "POST", pattern: "/logout", path: "/logout", auth: access.Page, least: access.Viewer, ok: http.StatusSeeOther, shared: true},
		{method: "GET", pattern: "/oidc/start", path: "/oidc/start", auth: access.Public, anyone: http.StatusNotFound},
		{method: "GET", pattern: "/oidc/callback", path: "/oidc/callback", auth: access.Public, anyone: http.StatusNotFound},
	}
}

func auditWalks() []walk {
	const audit = "/api/v1/audit"
	return []walk{
		{method: "GET", pattern: audit, path: audit + "?after=0&limit=10", least: access.Admin, scope: access.EveryTenant},
		{method: "GET", pattern: audit + "/head", path: audit + "/head", least: access.Admin, scope: access.EveryTenant},
		{method: "GET", pattern: audit + "/decisions", path: audit + "/decisions", least: access.Admin, scope: access.EveryTenant},
	}
}

// wants returns the status for a caller.
func (w walk) wants(as string) int {
	allowed := func(ok bool) int {
		if ok {
			return cmp.Or(w.ok, http.StatusOK)
		}
		return http.StatusForbidden
	}
	switch as {
	case "viewer":
		return allowed(access.Viewer >= w.least)
	case "operator":
		return allowed(access.Operator >= w.least)
	case "admin":
		return allowed(true)
	case "local": // admin of the email's tenant alone
		return allowed(w.scope == access.SomeTenant)
	case "mixed": // viewer everywhere, operator of another tenant
		return allowed(access.Viewer >= w.least)
	case "foreign": // admin of another tenant alone
		switch {
		case w.scope == access.EveryTenant:
			return http.StatusForbidden
		case w.shared:
			return allowed(true)
		}
		return http.StatusNotFound
	}
	panic(as)
}

// codes are the codes of refusals in JSON.
func codes() map[int]fault.Code {
	return map[int]fault.Code{
		http.StatusUnauthorized: fault.Unauthorized, http.StatusForbidden: fault.Forbidden, http.StatusNotFound: fault.NotFound,
	}
}

// TestEveryRouteWithEveryRole walks the whole table, by bearer token and by
// session. A new route without a walk fails it.
func TestEveryRouteWithEveryRole(t *testing.T) {
	t.Parallel()
	table := map[string]access.Route{}
	for _, r := range setup(t).table {
		require.NotContains(t, table, r.Method+" "+r.Path)
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
		require.Equal(t, r.Auth == access.Public, r.Least == access.NoRole, "%s: only public routes need no role", name)
		t.Run(w.method+" "+w.path, func(t *testing.T) {
			t.Parallel()
			if w.auth == access.Public {
				w.walkPublic(t)
				return
			}
			w.walkStrangers(t)
			for _, as := range []string{"viewer", "operator", "admin", "local", "mixed", "foreign"} {
				if w.auth == access.Page {
					w.requireStranger(t, setup(t), as, nil) // a token opens no page
				} else {
					w.walkAs(t, as, nil)
				}
				w.walkAs(t, as, session(as))
				w.walkUnproven(t, as)
			}
		})
	}
	for name := range table {
		require.True(t, walked[name], "no walk for %s", name)
	}
}

// visit is how a request comes by a session.
type visit struct {
	as                 string
	noToken, elsewhere bool
	late               time.Duration // how long after the login
}

func session(as string) *visit { return &visit{as: as} }

// send sends the request of a walk, by session or else by token.
func (w walk) send(t *testing.T, b *testBundle, as string, by *visit) (*http.Response, string) {
	t.Helper()
	if w.before != nil {
		w.before(t, b)
	}
	if by == nil {
		return b.do(t, w.method, w.path, as, w.body)
	}
	cookie, csrf := b.login(t, by.as)
	b.clock.add(by.late)
	req, err := http.NewRequestWithContext(t.Context(), w.method, b.server.URL+w.path, strings.NewReader(w.body))
	require.NoError(t, err)
	req.AddCookie(cookie)
	req.Header.Set("Content-Type", "application/json")
	if !by.noToken {
		req.Header.Set(access.CSRFHeader, csrf)
	}
	if by.elsewhere {
		req.Header.Set("Origin", "https://evil.example")
	}
	return b.send(t, req)
}

// walkAs sends the request of a known caller.
func (w walk) walkAs(t *testing.T, as string, by *visit) {
	t.Helper()
	b := setup(t)
	resp, body := w.send(t, b, as, by)
	want := w.wants(as)
	require.Equal(t, want, resp.StatusCode, "%s, session: %t: %s", as, by != nil, body)
	require.Empty(t, resp.Header.Get("WWW-Authenticate"))
	if want >= http.StatusBadRequest {
		w.requireRefused(t, b, resp, body, want)
	}
}

// walkStrangers sends the request of unknown callers, and of former ones.
func (w walk) walkStrangers(t *testing.T) {
	t.Helper()
	for _, as := range []string{"", "unknown"} {
		w.requireStranger(t, setup(t), as, nil)
	}
	for _, ended := range []string{"revoked", "expired"} {
		b := setup(t)
		past := b.clock.Now()
		text := b.makeToken(t, ended, func(token *ledger.Token) {
			if token.ExpiresAt = &past; ended == "revoked" {
				token.ExpiresAt, token.RevokedAt = nil, &past
			}
		})
		w.requireStranger(t, b, text, nil)
	}
	w.requireStranger(t, setup(t), "", &visit{as: "admin", late: 8 * time.Hour})
	w.requireStranger(t, setup(t), "", &visit{as: "admin", late: 25 * time.Hour})
}

// requireStranger checks that a caller is unknown, and changed nothing.
func (w walk) requireStranger(t *testing.T, b *testBundle, as string, by *visit) {
	t.Helper()
	resp, body := w.send(t, b, as, by)
	if w.auth == access.Page {
		require.Equal(t, http.StatusSeeOther, resp.StatusCode, body)
		require.True(t, strings.HasPrefix(resp.Header.Get("Location"), access.LoginPath), resp.Header)
		return
	}
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "%s: %s", as, body)
	require.NotEmpty(t, resp.Header.Get("WWW-Authenticate"))
	w.requireRefused(t, b, resp, body, http.StatusUnauthorized)
}

// walkUnproven sends what a page of another site could make a browser send.
func (w walk) walkUnproven(t *testing.T, as string) {
	t.Helper()
	if w.method == http.MethodGet || w.auth == access.CORS {
		return
	}
	for _, by := range []*visit{{as: as, noToken: true}, {as: as, elsewhere: true}} {
		b := setup(t)
		resp, body := w.send(t, b, "", by)
		require.Equal(t, http.StatusForbidden, resp.StatusCode, body)
		w.requireRefused(t, b, resp, body, http.StatusForbidden)
	}
}

// walkPublic sends the request of any caller.
func (w walk) walkPublic(t *testing.T) {
	t.Helper()
	for _, as := range []string{"", "unknown", "admin"} {
		resp, body := w.send(t, setup(t), as, nil)
		require.Equal(t, w.anyone, resp.StatusCode, body)
		require.Equal(t, access.PagePolicy, resp.Header.Get("Content-Security-Policy"))
	}
}

// requireRefused checks the form of a refusal, and that nothing happened.
func (w walk) requireRefused(t *testing.T, b *testBundle, resp *http.Response, body string, status int) {
	t.Helper()
	require.Empty(t, b.decider.seen())
	require.Nil(t, b.controls.control)
	tokens, err := b.store.Tokens(t.Context())
	require.NoError(t, err)
	for _, token := range tokens {
		require.NotEqual(t, "ci", token.Name)
		require.True(t, token.Name != "made" || token.RevokedAt == nil)
	}
	if w.auth == access.Page {
		require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
		return
	}
	requireRefused(t, resp, body, status, codes()[status])
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

// TestADecisionByNumberReachesThatEmail: a decision about a conflicting email, named by
// its workflow, went to another email whose event id looks like that.
func TestADecisionByNumberReachesThatEmail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conflict, mimic := *b.reader.email, *b.reader.email
	conflict.ID, conflict.WorkflowID, conflict.DuplicateOf = 8, "evt_1~00", "wf-1"
	mimic.ID, mimic.WorkflowID, mimic.EventID, mimic.Tenant = 9, "wf-9", "evt_1~00", "default"
	b.reader.more = []*ledger.EmailDetail{&conflict, &mimic}

	resp, body := b.do(t, "POST", "/api/v1/emails/evt_1~00/decisions", "operator", approveBody)
	requireRefused(t, resp, body, http.StatusConflict, fault.DecisionRefused)
	require.Contains(t, body, "by its number: 8 (mailparse), 9 (mailparse)")
	require.Empty(t, b.decider.seen())

	for number, workflow := range map[string]string{"8": "evt_1~00", "9": "wf-9"} {
		before := len(b.decider.seen())
		resp, body = b.do(t, "POST", "/api/v1/emails-by-number/"+number+"/decisions", "operator", approveBody)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, workflow, b.decider.seen()[before].workflowID)
	}
	resp, body = b.do(t, "POST", "/api/v1/emails-by-number/8/decisions", "foreign", approveBody)
	requireRefused(t, resp, body, http.StatusNotFound, fault.NotFound)
	for _, number := range []string{"10", "0", "-8", "8x", "99999999999999999999", "%2B8"} {
		resp, body = b.do(t, "GET", "/api/v1/emails-by-number/"+number, "operator", "")
		requireRefused(t, resp, body, http.StatusNotFound, fault.NotFound)
	}
	resp, body = b.do(t, "GET", "/api/v1/emails-by-number/8?source=mailparse", "operator", "")
	requireRefused(t, resp, body, http.StatusBadRequest, fault.RequestInvalid)
	_, body = b.do(t, "GET", "/api/v1/emails-by-number/8", "operator", "")
	require.Contains(t, body, `"number":8`)
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
