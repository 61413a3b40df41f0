package api

import (
	"crypto/sha256"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/shared/ledger"
)

// clock stands until a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// send sends req and reads the whole answer.
func (b *testBundle) send(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := b.server.Client().Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(text)
}

// makeToken puts a token for every tenant into the store and returns its text.
func (b *testBundle) makeToken(t *testing.T, name string, change func(*ledger.Token)) string {
	t.Helper()
	text, sum := access.NewToken()
	token := ledger.Token{Name: name, SHA256: sum, Roles: map[string]string{"*": "admin"}, CreatedBy: "adam", CreatedAt: b.clock.Now()}
	if change != nil {
		change(&token)
	}
	require.NoError(t, b.store.CreateToken(t.Context(), token, "api"))
	return text
}

// postForm posts a form as our own page would.
func (b *testBundle) postForm(t *testing.T, path string, form url.Values, cookies ...*http.Cookie) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", b.server.URL)
	for _, c := range cookies {
		req.AddCookie(c)
	}
	return b.send(t, req)
}

// login logs in with the configured token of a role, and returns the cookie of the
// session and its token.
func (b *testBundle) login(t *testing.T, role string) (cookie *http.Cookie, csrf string) {
	t.Helper()
	resp, body := b.postForm(t, access.LoginPath, url.Values{"token": {"token-" + role}, "next": {"/emails?state=quarantined"}})
	require.Equal(t, http.StatusSeeOther, resp.StatusCode, body)
	require.Equal(t, "/emails?state=quarantined", resp.Header.Get("Location"))
	require.Len(t, resp.Cookies(), 1)
	cookie = resp.Cookies()[0]
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	s, err := b.store.FindSession(t.Context(), sha256.Sum256([]byte(cookie.Value)))
	require.NoError(t, err)
	return cookie, s.CSRF
}

// TestFormsProveThemselvesByAField is what a page without scripts does.
func TestFormsProveThemselvesByAField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cookie, csrf := b.login(t, "viewer")
	resp, body := b.postForm(t, "/logout", url.Values{"csrf": {"no" + csrf}}, cookie)
	require.Equal(t, http.StatusForbidden, resp.StatusCode, body)
	require.Contains(t, body, "does not come from a page of Mailroom")
	resp, body = b.postForm(t, "/logout", url.Values{"csrf": {csrf}}, cookie)
	require.Equal(t, http.StatusSeeOther, resp.StatusCode, body)
	require.Equal(t, access.LoginPath, resp.Header.Get("Location"))
	require.Negative(t, resp.Cookies()[0].MaxAge)
	resp, _ = b.postForm(t, "/logout", url.Values{"csrf": {csrf}}, cookie)
	require.Equal(t, access.LoginPath, resp.Header.Get("Location"))
	logs := b.logs.String()
	require.Contains(t, logs, `"msg":"login.ok","result":"ok","remote":"127.0.0.1","actor":"vera"`)
	require.NotContains(t, logs, "token-viewer")
	require.NotContains(t, logs, cookie.Value)
}

// TestBrowsersAreSentToTheLogin: a person who comes too early gets where they wanted.
func TestBrowsersAreSentToTheLogin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, want := range map[string]string{
		"/emails/x?tab=1":  "/login?next=%2Femails%2Fx%3Ftab%3D1",
		"/":                "/login",
		"//evil.example/x": "/login",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+path, http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/html,*/*")
		resp, _ := b.send(t, req)
		require.Equal(t, http.StatusSeeOther, resp.StatusCode)
		require.Equal(t, want, resp.Header.Get("Location"), path)
		req.Header.Set("HX-Request", "true")
		resp, _ = b.send(t, req)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		require.Equal(t, "/login", resp.Header.Get("HX-Redirect"))
		cookie, _ := b.login(t, "viewer")
		req.AddCookie(cookie)
		resp, body := b.send(t, req)
		require.Equal(t, http.StatusNotFound, resp.StatusCode)
		require.Contains(t, body, "there is nothing at this path")
	}
}
