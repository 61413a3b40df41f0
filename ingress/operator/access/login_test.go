package access

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/accesstest"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

func FuzzLocalPath(f *testing.F) {
	for _, text := range []string{
		"/", "/emails?q=1", "//evil.example", `/\evil.example`, "/%2f/evil", "https://evil.example", "/\t/evil.example",
		"/login?next=/x", "javascript:alert(1)", "/..//evil.example", "/a\r\nb", "", "?x", "/%", "/x#//y",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := localPath(text)
		// What a browser makes of it, which reads \ as / and drops tabs and line feeds.
		read := strings.NewReplacer(`\`, "/", "\t", "", "\n", "", "\r", "").Replace(got)
		require.True(t, strings.HasPrefix(read, "/"), text)
		require.False(t, strings.HasPrefix(read, "//"), text)
		base, err := url.Parse("https://mailroom.example.com/login")
		require.NoError(t, err)
		to, err := base.Parse(got)
		require.NoError(t, err)
		require.Equal(t, base.Host, to.Host, text)
		require.Equal(t, base.Scheme, to.Scheme, text)
	})
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	l, now := newLimiter(), time.Unix(1_800_000_000, 0)
	one, neighbour := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	// An address is limited once half of the common burst is used up.
	for range loginBurst/2 + 1 {
		require.Zero(t, l.wait(one, now))
	}
	require.Equal(t, 6*time.Second, l.wait(neighbour, now).Round(time.Second), "one /64 is one subscriber")
	require.Zero(t, l.wait(netip.MustParseAddr("192.0.2.1"), now))
	require.Zero(t, l.wait(one, now.Add(6*time.Second)))
	for range loginsPerAddress {
		require.Zero(t, l.waitName("ada", now))
	}
	require.Positive(t, l.waitName("ada", now))
	require.Zero(t, l.waitName("adam", now))
	// Many addresses: their attempts are bounded in total, and so is the memory for them.
	l, refused := newLimiter(), 0
	addr := netip.MustParseAddr("10.0.0.0")
	for range limitedAddresses + 10 {
		addr = addr.Next()
		if l.wait(addr, now) > 0 {
			refused++
		}
	}
	require.Equal(t, limitedAddresses+10-loginBurst, refused)
	require.LessOrEqual(t, len(l.own), limitedAddresses)
}

// open returns an Authenticator on a store in memory with one token.
func open(t *testing.T, publicURL string) (*Authenticator, *accesstest.Memory, string, *time.Time) {
	t.Helper()
	store, now := accesstest.NewMemory(), time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	a, err := New(Config{Access: config.Access{PublicURL: publicURL}}, Deps{Tokens: store, Sessions: store, Now: func() time.Time { return now }})
	require.NoError(t, err)
	text, sum := NewToken()
	require.NoError(t, store.CreateToken(t.Context(), ledger.Token{
		Name: "ci", SHA256: sum, Roles: map[string]string{"acme": "operator"}, Owner: "Ann@id.example", CreatedBy: "adam", CreatedAt: now,
	}, "api"))
	return a, store, text, &now
}

// TestRevocationIsSoon checks that a token revoked by another process is refused within five seconds.
func TestRevocationIsSoon(t *testing.T) {
	t.Parallel()
	a, store, text, now := open(t, "")
	who, err := identify(t, a, "Bearer "+text)
	require.NoError(t, err)
	require.Equal(t, Identity{Name: "ci", Person: "ann@id.example", Roles: map[string]Role{"acme": Operator}}, who)
	require.NoError(t, store.RevokeToken(t.Context(), "ci", "adam", "api", *now))
	*now = now.Add(5 * time.Second)
	_, err = identify(t, a, "Bearer "+text)
	require.True(t, fault.Is(err, fault.Unauthorized))
	list, err := store.Tokens(t.Context())
	require.NoError(t, err)
	require.NotNil(t, list[0].LastUsedAt)
}

// TestStoreUnavailable checks that a known caller is not answered 401 while the database is unavailable.
func TestStoreUnavailable(t *testing.T) {
	t.Parallel()
	a, store, text, _ := open(t, "")
	store.Fail(fault.New(fault.StorageUnavailable, "unavailable"))
	_, err := identify(t, a, "Bearer "+text)
	require.True(t, fault.Is(err, fault.StorageUnavailable))
	_, err = identify(t, a, "Bearer mrt_short")
	require.True(t, fault.Is(err, fault.Unauthorized), "a text that is no token costs no query")
}

// TestGuessingIsLimited sends unknown tokens from one address.
func TestGuessingIsLimited(t *testing.T) {
	t.Parallel()
	a, _, _, _ := open(t, "")
	var err error
	for range badTokens + 1 {
		text, _ := NewToken()
		_, err = identify(t, a, "Bearer "+text)
	}
	require.True(t, fault.Is(err, fault.RateLimited), "%v", err)
	require.Positive(t, fault.From(err).RetryAfter)
}

// TestSessionsOverTLS checks that the cookie is bound to the host and to TLS, that the proof
// works behind a proxy that changes Host, and that a session ends with its token.
func TestSessionsOverTLS(t *testing.T) {
	t.Parallel()
	a, store, text, _ := open(t, "https://mailroom.example.com")
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://10.0.0.1:8081/x", http.NoBody)
	sum := sha256.Sum256([]byte(text))
	require.NoError(t, a.startSession(w, r, ledger.Session{Name: "ci", Token: &sum}))
	cookie := w.Result().Cookies()[0]
	require.Equal(t, "__Host-mailroom", cookie.Name)
	require.True(t, cookie.Secure)
	require.Equal(t, "/", cookie.Path)
	r.AddCookie(cookie)
	_, err := a.Authenticate(r, API)
	require.True(t, fault.Is(err, fault.Forbidden))
	s, err := store.FindSession(t.Context(), sha256.Sum256([]byte(cookie.Value)))
	require.NoError(t, err)
	r.Header.Set(CSRFHeader, s.CSRF)
	for origin, ok := range map[string]bool{
		"https://mailroom.example.com": true, "http://mailroom.example.com": false, "https://mailroom.example.com:444": false,
		"null": false, "https://evil.example": false,
	} {
		r.Header.Set("Origin", origin)
		c, err := a.Authenticate(r, API)
		require.Equal(t, ok, err == nil, origin)
		if ok {
			require.Equal(t, s.CSRF, c.Session.CSRF)
		}
	}
	require.NoError(t, store.RevokeToken(t.Context(), "ci", "adam", "api", a.now()))
	a.Forget()
	_, err = a.Authenticate(r, CORS)
	require.True(t, fault.Is(err, fault.Unauthorized))
}

// TestSessionsWithoutAPublicURL checks that they work only on this machine.
func TestSessionsWithoutAPublicURL(t *testing.T) {
	t.Parallel()
	a, _, text, _ := open(t, "")
	sum := sha256.Sum256([]byte(text))
	for host, ok := range map[string]bool{
		"localhost:8081": true, "127.0.0.1": true, "[::1]:8081": true, "mailroom.example.com": false, "127.0.0.1.evil.example": false,
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/", http.NoBody)
		require.NoError(t, a.startSession(w, r, ledger.Session{Name: "ci", Token: &sum}))
		r.AddCookie(w.Result().Cookies()[0])
		_, err := a.Authenticate(r, Page)
		require.Equal(t, ok, err == nil, host)
	}
}

func TestNamesOfPeople(t *testing.T) {
	t.Parallel()
	p := newProvider(config.Access{OIDC: config.OIDC{Issuer: "https://id.example.com/x", NameClaim: "email"}}, nil, time.Now)
	for _, row := range []struct {
		claims map[string]any
		want   string
	}{
		{map[string]any{"email": "ada@example.com", "email_verified": true}, "ada@example.com"},
		{map[string]any{"email": "ada@example.com", "email_verified": "true"}, "ada@example.com"},
		{map[string]any{"email": "ada@example.com"}, "sub-1@id.example.com"}, // it is not said to be verified
		{map[string]any{"email": "ada@example.com", "email_verified": false}, "sub-1@id.example.com"},
		{map[string]any{"email": "ada@example.com", "email_verified": "false"}, "sub-1@id.example.com"},
		{map[string]any{"email": "ada@example.com", "email_verified": 1}, "sub-1@id.example.com"},
		{map[string]any{"email": 7}, "sub-1@id.example.com"},
		{map[string]any{"email": "a\nb@x", "email_verified": true}, "sub-1@id.example.com"},
		{map[string]any{"email": strings.Repeat("x", 10000), "email_verified": true}, "sub-1@id.example.com"},
		{map[string]any{}, "sub-1@id.example.com"},
		{map[string]any{"email": "policy", "email_verified": true}, ""},
		{map[string]any{"email": "Mailroom@example.com", "email_verified": true}, ""},
		{map[string]any{"email": "ada@example.com (claimed)", "email_verified": true}, ""},
	} {
		require.Equal(t, row.want, p.nameOf(row.claims, "sub-1"))
	}
	require.Empty(t, p.nameOf(map[string]any{}, ""))
	require.Equal(t, []string{"a"}, groupsOf("a"))
	require.Equal(t, []string{"a", "b"}, groupsOf([]any{"a", 7, "b"}))
	require.Empty(t, groupsOf(map[string]any{"a": 1}))
	require.Empty(t, groupsOf(nil))
}

func TestNewLoginNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := NewLogin(LoginDeps{})
	require.Error(t, err)
	require.False(t, errors.As(err, new(*fault.Error)))
}
