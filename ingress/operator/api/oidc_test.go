package api

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/access/oidctest"
	"mailroom/shared/config"
)

// browser is a person at Mailroom with an OpenID provider behind it.
type browser struct {
	*testBundle
	provider *oidctest.Provider
	cookies  map[string]*http.Cookie
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	w := &browser{cookies: map[string]*http.Cookie{}}
	w.testBundle = setupWith(t, func(url string, c *config.Access) {
		w.provider = oidctest.Start(t, url+"/oidc/callback")
		c.PublicURL = url
		c.OIDC = config.OIDC{
			Issuer: w.provider.URL, ClientID: oidctest.ClientID,
			ClientSecret: config.KeyRef{Key: config.NewSecret(oidctest.ClientSecret)},
			Groups:       []config.OIDCGroup{{Group: "mail-operators", Role: "operator", Tenants: []string{"default"}}},
		}
	})
	w.clock.add(time.Since(w.clock.Now())) // the provider's clock is the real one
	return w
}

// get asks for a path of ours with the cookies of the browser.
func (w *browser) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+path, http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/html")
	for _, c := range w.cookies {
		req.AddCookie(c)
	}
	resp, body := w.send(t, req)
	for _, c := range resp.Cookies() {
		if w.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(w.cookies, c.Name)
		}
	}
	return resp, body
}

// start begins a login and returns the authorization request.
func (w *browser) start(t *testing.T) *url.URL {
	t.Helper()
	resp, body := w.get(t, "/oidc/start?next=%2Femails%2F1")
	require.Equal(t, http.StatusSeeOther, resp.StatusCode, body)
	to, err := resp.Location()
	require.NoError(t, err)
	return to
}

// refused sees that a login came to nothing.
func (w *browser) refused(t *testing.T, path string, status int) {
	t.Helper()
	resp, body := w.get(t, path)
	require.Equal(t, status, resp.StatusCode, body)
	require.Contains(t, body, `role="alert"`)
	require.NotContains(t, w.cookies, "mailroom")
}

func back(to *url.URL) string { return to.RequestURI() }

func TestLoginAtTheProvider(t *testing.T) {
	t.Parallel()
	w := openBrowser(t)
	request := w.start(t)
	q := request.Query()
	require.Equal(t, "code", q.Get("response_type"))
	require.Equal(t, "S256", q.Get("code_challenge_method"))
	require.Equal(t, "openid profile email", q.Get("scope"))
	require.NotEmpty(t, q.Get("nonce"))
	callback := w.provider.Browse(t, request.String(), oidctest.Ada)
	resp, body := w.get(t, back(callback))
	require.Equal(t, http.StatusSeeOther, resp.StatusCode, body)
	require.Equal(t, "/emails/1", resp.Header.Get("Location"))

	s, err := w.store.FindSession(t.Context(), sha256.Sum256([]byte(w.cookies["mailroom"].Value)))
	require.NoError(t, err)
	require.Equal(t, "ada@127.0.0.1", s.Name)
	require.Equal(t, []string{"mail-operators"}, s.Groups, "only what the configuration names")
	resp, body = w.get(t, emailURL+"/raw")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	resp, _ = w.get(t, "/api/v1/tokens")
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	resp, _ = w.get(t, access.LoginPath)
	require.Equal(t, http.StatusSeeOther, resp.StatusCode, "who is logged in needs no login")
	require.Contains(t, w.logs.String(), `"actor":"ada@127.0.0.1"`)
	require.NotContains(t, w.logs.String(), callback.Query().Get("code"))

	// What came back serves once, with the login it was for and with another.
	w.cookies = map[string]*http.Cookie{}
	w.refused(t, back(callback), http.StatusUnauthorized)
	again := w.start(t).Query().Get("state")
	w.refused(t, "/oidc/callback?code="+callback.Query().Get("code")+"&state="+again, http.StatusUnauthorized)
}

func TestLoginsThatDoNotHold(t *testing.T) {
	t.Parallel()
	change := func(u *url.URL, name, value string) *url.URL {
		q := u.Query()
		q.Set(name, value)
		changed := *u
		changed.RawQuery = q.Encode()
		return &changed
	}
	for name, row := range map[string]struct {
		status int
		way    func(t *testing.T, w *browser) string
	}{
		"another state": {http.StatusUnauthorized, func(t *testing.T, w *browser) string {
			t.Helper()
			return back(change(w.provider.Browse(t, w.start(t).String(), oidctest.Ada), "state", "x"))
		}},
		"another nonce": {http.StatusUnauthorized, func(t *testing.T, w *browser) string {
			t.Helper()
			return back(w.provider.Browse(t, change(w.start(t), "nonce", "x").String(), oidctest.Ada))
		}},
		"another challenge": {http.StatusUnauthorized, func(t *testing.T, w *browser) string {
			t.Helper()
			return back(w.provider.Browse(t, change(w.start(t), "code_challenge", "x").String(), oidctest.Ada))
		}},
		"another issuer": {http.StatusUnauthorized, func(t *testing.T, w *browser) string {
			t.Helper()
			return back(change(w.provider.Browse(t, w.start(t).String(), oidctest.Ada), "iss", "https://evil.example"))
		}},
		"another browser": {http.StatusUnauthorized, func(t *testing.T, w *browser) string {
			t.Helper()
			to := w.provider.Browse(t, w.start(t).String(), oidctest.Ada)
			w.start(t) // its cookie is of another login
			return back(to)
		}},
		"no browser": {http.StatusUnauthorized, func(t *testing.T, w *browser) string {
			t.Helper()
			to := w.provider.Browse(t, w.start(t).String(), oidctest.Ada)
			w.cookies = map[string]*http.Cookie{}
			return back(to)
		}},
		"too late": {http.StatusUnauthorized, func(t *testing.T, w *browser) string {
			t.Helper()
			to := w.provider.Browse(t, w.start(t).String(), oidctest.Ada)
			w.clock.add(11 * time.Minute)
			return back(to)
		}},
		"an expired ID token": {http.StatusUnauthorized, func(t *testing.T, w *browser) string {
			t.Helper()
			w.provider.Stale.Store(true)
			return back(w.provider.Browse(t, w.start(t).String(), oidctest.Ada))
		}},
		"no group with a role": {http.StatusForbidden, func(t *testing.T, w *browser) string {
			t.Helper()
			return back(w.provider.Browse(t, w.start(t).String(), oidctest.Bob))
		}},
		"denied": {http.StatusForbidden, func(t *testing.T, w *browser) string {
			t.Helper()
			return back(w.provider.Browse(t, change(w.start(t), "prompt", "none").String(), oidctest.Ada))
		}},
		"away at the end": {http.StatusServiceUnavailable, func(t *testing.T, w *browser) string {
			t.Helper()
			to := w.provider.Browse(t, w.start(t).String(), oidctest.Ada)
			w.provider.Unavailable.Store(true)
			return back(to)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openBrowser(t)
			w.refused(t, row.way(t, w), row.status)
		})
	}
}

// TestProviderThatComesLater: Mailroom starts without its provider, says so, and
// finds it when it is there.
func TestProviderThatComesLater(t *testing.T) {
	t.Parallel()
	w := openBrowser(t)
	w.provider.Unavailable.Store(true)
	w.refused(t, "/oidc/start", http.StatusServiceUnavailable)
	w.provider.Unavailable.Store(false)
	w.clock.add(5 * time.Second)
	resp, body := w.get(t, back(w.provider.Browse(t, w.start(t).String(), oidctest.Ada)))
	require.Equal(t, http.StatusSeeOther, resp.StatusCode, body)
}

// TestTooManyLogins: an address that tries on and on is put off, and told how long;
// a valid token gets in from there all the same.
func TestTooManyLogins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var resp *http.Response
	for range 100 {
		if resp, _ = b.postForm(t, access.LoginPath, url.Values{"token": {"x"}}); resp.StatusCode != http.StatusUnauthorized {
			break
		}
	}
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	require.Equal(t, "6", resp.Header.Get("Retry-After"))
	resp, body := b.postForm(t, access.LoginPath, url.Values{"token": {"token-admin"}})
	require.Equal(t, http.StatusSeeOther, resp.StatusCode, body)
}

// TestNeighbourLocksNoOperatorOut: from the operators' address comes one wrong login, and
// one begun at the provider, a second.
func TestNeighbourLocksNoOperatorOut(t *testing.T) {
	t.Parallel()
	w := openBrowser(t)
	for range 120 {
		resp, _ := w.postForm(t, access.LoginPath, url.Values{"token": {"x"}})
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		resp, body := w.get(t, "/oidc/start")
		require.Equal(t, http.StatusSeeOther, resp.StatusCode, body)
		w.clock.add(time.Second)
	}
	resp, body := w.postForm(t, access.LoginPath, url.Values{"token": {"token-admin"}})
	require.Equal(t, http.StatusSeeOther, resp.StatusCode, body)
}
