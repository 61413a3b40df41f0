package access

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/accesstest"
	"mailroom/shared/config"
	"mailroom/shared/fault"
)

func identify(t *testing.T, a *Authenticator, header string) (Identity, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if header != "" {
		r.Header.Set("Authorization", header)
	}
	c, err := a.Authenticate(r, API)
	return c.Identity, err
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	list := append([]config.Operator{
		{Name: "vera", Role: "viewer", Token: config.KeyRef{Key: config.NewSecret("token-viewer")}},
		{Name: "olga", Role: "operator", Token: config.KeyRef{Key: config.NewSecret("token-operator")}},
		{Name: "adam", Role: "admin", Token: config.KeyRef{Key: config.NewSecret("token-admin")}},
	}, config.Operator{
		Name: "past", Role: "admin", Token: config.KeyRef{Key: config.NewSecret("token-past"), Expires: now},
	}, config.Operator{
		Name: "soon", Role: "admin", Token: config.KeyRef{Key: config.NewSecret("token-soon"), Expires: now.Add(time.Second)},
	})
	known, err := New(Config{Operators: list}, Deps{Tokens: accesstest.NewMemory(), Sessions: accesstest.NewMemory(), Now: func() time.Time { return now }})
	require.NoError(t, err)
	for header, want := range map[string]string{
		"Bearer token-viewer":      "vera",
		"bearer token-admin":       "adam",
		"BEARER  token-operator":   "olga",
		"Bearer token-soon":        "soon",
		"Bearer token-past":        "",
		"":                         "",
		"Bearer":                   "",
		"Bearer ":                  "",
		"token-admin":              "",
		"Basic token-admin":        "",
		"Bearer token-admi":        "",
		"Bearer token-admin2":      "",
		"Bearer TOKEN-ADMIN":       "",
		"Bearer token-admin extra": "",
	} {
		who, err := identify(t, known, header)
		require.Equal(t, want != "", err == nil, "%q", header)
		require.Equal(t, want, who.Name, "%q", header)
		if want == "" {
			require.True(t, fault.Is(err, fault.Unauthorized))
			require.Equal(t, NoRole, who.Best())
		}
	}
}

func TestIdentifyFollowsRenewedTokens(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	viewers, admins := config.NewSecret("viewer-1"), config.NewSecret("admin-1")
	known, err := New(Config{Operators: []config.Operator{
		{Name: "vera", Role: "viewer", Token: config.KeyRef{Key: viewers}},
		{Name: "adam", Role: "admin", Token: config.KeyRef{Key: admins}},
	}}, Deps{Tokens: accesstest.NewMemory(), Sessions: accesstest.NewMemory(), Now: func() time.Time { return now }})
	require.NoError(t, err)
	is := func(token, name string) {
		t.Helper()
		who, err := identify(t, known, "Bearer "+token)
		require.Equal(t, name, who.Name)
		require.Equal(t, name != "", err == nil)
	}
	is("viewer-1", "vera")
	viewers.Set("viewer-2")
	is("viewer-1", "")
	is("viewer-2", "vera")
	viewers.Set("admin-1") // now the token of two operators
	is("admin-1", "")
	is("viewer-2", "")
	admins.Set("admin-2")
	is("admin-2", "adam")
	is("admin-1", "vera")
	viewers.Set("")
	is("", "")
}

func TestTokensAreChecked(t *testing.T) {
	t.Parallel()
	key := func(text string) config.KeyRef { return config.KeyRef{Key: config.NewSecret(text)} }
	_, err := newConfigured([]config.Operator{
		{Name: "", Role: "viewer", Token: key("a1")},
		{Name: "a\nb", Role: "viewer", Token: key("a2")},
		{Name: "c", Role: "root", Token: key("a3")},
		{Name: "d", Role: "viewer"},
		{Name: "e", Role: "viewer", Token: key("same-text")},
		{Name: "e", Role: "viewer", Token: key("a4")},
		{Name: "f", Role: "viewer", Token: key("same-text")},
		{Name: "g", Token: key("a5")},
		{Name: "h", Role: "viewer", Roles: map[string]string{"acme": "boss"}, Token: key("a6")},
		{Name: "i", Roles: map[string]string{"acme": "admin"}, Token: key("a7")},
		{Name: "Policy", Role: "admin", Token: key("a8")},
		{Name: "k", Owner: "mailroom", Role: "admin", Token: key("a9")},
		{Name: "l", Owner: "a\nb", Role: "admin", Token: key("b1")},
	})
	for _, want := range []string{
		"operators[0]: name must be", "operators[1]: name must be", "operators[2]: role of c must be",
		"operators[3]: token of d is empty", "operators[5]: name e is used twice",
		"operators[6]: token of f is the same as that of e",
		"operators[7]: role of g must be", "operators[8]: role of h must be",
		"operators[10]: name and owner of Policy are reserved for Mailroom itself",
		"operators[11]: name and owner of k are reserved", "operators[12]: owner of l must be",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "same-text")
	require.NotContains(t, err.Error(), "operators[4]")
	require.NotContains(t, err.Error(), "operators[9]")
}
