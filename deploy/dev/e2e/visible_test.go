package e2e_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOperatorSeesOneTenant asks API, mailctl and console as an operator of one tenant of
// two: of sources, destinations and rules each shows what belongs to that tenant, and names
// nothing of the other one.
func TestOperatorSeesOneTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) {
		s.Tenants = ", {name: other, domains: [other.example]}"
		s.Systems = `  - {name: theirs, url: "` + s.Sink + `/theirs", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true}
  - {name: shared-archive, tenants: [default, other], url: "` + s.Sink + `/archive", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true}`
		s.Extra = `  - {name: their-sales, when: {tenant: other, recipient: "sales@*"}, to: [theirs]}
  - {name: by-source, when: {source: mailparse, subject: "*archive*"}, to: [shared-archive]}
  - {name: archive-all, when: {subject: "*archive*"}, to: [shared-archive, ticketing]}`
		s.People = `
  - {name: oscar, roles: {other: operator}, token: {ref: "env:OSCAR_TOKEN"}}`
	})
	held := w.heldFor(shapeA(newID(), "nobody"), "unroutable")
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte(oscarToken), 0o600))

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Timeout: w.http.Timeout}
	login, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.OperatorURL()+"/login", strings.NewReader("token="+url.QueryEscape(oscarToken)))
	require.NoError(t, err)
	login.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := browser.Do(login)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())

	ask := func(method, path, kind, body string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, w.OperatorURL()+path, strings.NewReader(body))
		require.NoError(t, err)
		if strings.HasPrefix(path, "/api/") {
			request.Header.Set("Authorization", "Bearer "+oscarToken)
		}
		request.Header.Set("Content-Type", kind)
		answer, err := browser.Do(request)
		require.NoError(t, err)
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(text)
	}
	get := func(path string) string {
		status, text := ask(http.MethodGet, path, "", "")
		require.Equal(t, http.StatusOK, status, "%s: %s", path, text)
		return text
	}
	ctl := func(args ...string) string { return w.run("mailctl", append(args, "--token-file", token)...) }

	const sample = `{"recipients":["sales@other.example"]}`
	_, tried := ask(http.MethodPost, "/api/v1/routes/test", "application/json", sample)
	require.Contains(t, tried, `"tenant":"other"`, "the default is the caller's tenant")
	shown := map[string]struct {
		text string
		want []string
	}{
		"API routes":           {get("/api/v1/routes"), []string{"their-sales", "archive-all", "theirs", "shared-archive"}},
		"API routes test":      {tried, []string{"their-sales", "archive-all", "theirs"}},
		"API destinations":     {get("/api/v1/destinations"), []string{"theirs", "shared-archive"}},
		"API sources":          {get("/api/v1/sources"), nil},
		"API emails":           {get("/api/v1/emails"), nil},
		"API overview":         {get("/api/v1/overview"), nil},
		"mailctl routes":       {ctl("routes", "list"), []string{"their-sales", "archive-all", "theirs", "shared-archive"}},
		"mailctl routes test":  {ctl("routes", "test", "--to", "sales@other.example"), []string{"their-sales", "archive-all", "the tenant other"}},
		"mailctl destinations": {ctl("destinations", "list"), []string{"theirs", "shared-archive"}},
		"mailctl sources":      {ctl("sources", "list"), nil},
		"mailctl emails":       {ctl("emails", "list"), nil},
		"console routes":       {get("/routes"), []string{"their-sales", "archive-all", "theirs", "shared-archive"}},
		"console destinations": {get("/destinations"), []string{"theirs", "shared-archive"}},
		"console overview":     {get("/"), nil},
		"console emails":       {get("/emails"), nil},
		"console sources":      {get("/sources"), nil},
		"console inbox":        {get("/inbox"), nil},
	}
	for surface, s := range shown {
		for _, name := range s.want {
			require.Contains(t, s.text, name, surface)
		}
		for _, name := range []string{"ticketing", "accounting", "rejecting", "by-source", "support@", "invoices@", "yourapp.example", "mailparse", held} {
			require.NotContains(t, s.text, name, surface)
		}
	}

	for _, path := range []string{
		"/api/v1/emails/" + url.PathEscape(held), "/emails/" + url.PathEscape(held), "/api/v1/sources/mailparse/failures",
	} {
		status, text := ask(http.MethodGet, path, "", "")
		require.Equal(t, http.StatusNotFound, status, "%s: %s", path, text)
	}
	status, text := ask(http.MethodPost, "/api/v1/destinations/ticketing/pause", "application/json", `{"note":"x"}`)
	require.Equal(t, http.StatusNotFound, status, text)
	status, text = ask(http.MethodPost, "/api/v1/destinations/shared-archive/pause", "application/json", `{"note":"x"}`)
	require.Equal(t, http.StatusForbidden, status, text)
	status, text = ask(http.MethodPost, "/api/v1/routes/test", "application/json", `{"recipients":["a@b.example"],"tenant":"default"}`)
	require.Equal(t, http.StatusForbidden, status, text)
}
