// Package accesstest contains the conformance suite of stores of tokens, sessions and
// logins, and a store in memory that passes it.
//
// Only tests import this package. The store of the product is Access in shared/postgres; its
// user is ingress/operator/access.
package accesstest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Store persists what package access needs. Tokens and sessions are identified by a
// SHA-256 sum; a missing one is a fault of code not_found.
type Store interface {
	// CreateToken stores a token. A name can be used once, even after its token was
	// revoked; a second use is a fault of code request_invalid.
	CreateToken(ctx context.Context, t ledger.Token, via string) error
	// RevokeToken revokes the token called name. A second call changes nothing.
	RevokeToken(ctx context.Context, name, by, via string, at time.Time) error
	// Tokens returns all tokens, sorted by name.
	Tokens(ctx context.Context) ([]ledger.Token, error)
	FindToken(ctx context.Context, sum [32]byte) (ledger.Token, error)
	// TouchToken stores the last use of a token. An earlier time, or an unknown token,
	// changes nothing.
	TouchToken(ctx context.Context, sum [32]byte, at time.Time) error
	// CreateSession stores a session and deletes those that have expired.
	CreateSession(ctx context.Context, s ledger.Session) error
	FindSession(ctx context.Context, sum [32]byte) (ledger.Session, error)
	// TouchSession stores the last use of a session. An earlier time changes nothing.
	TouchSession(ctx context.Context, sum [32]byte, at time.Time) error
	// EndSession deletes a session, if there is one.
	EndSession(ctx context.Context, sum [32]byte) error
	// SaveLogin stores a login and deletes those that have expired at now.
	SaveLogin(ctx context.Context, l ledger.Login, now time.Time) error
	// TakeLogin deletes a login and returns it.
	TakeLogin(ctx context.Context, state [32]byte) (ledger.Login, error)
}

// Run tests a store. open returns an empty one; it is called once per subtest, which run in
// parallel.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	t.Run("tokens", func(t *testing.T) { t.Parallel(); testTokens(t, open(t)) })
	t.Run("sessions", func(t *testing.T) { t.Parallel(); testSessions(t, open(t)) })
	t.Run("logins", func(t *testing.T) { t.Parallel(); testLogins(t, open(t)) })
}

func testTokens(t *testing.T, s Store) {
	t.Helper()
	ctx, at := t.Context(), time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	expires := at.Add(time.Hour)
	one := ledger.Token{
		Name: "ci", SHA256: [32]byte{1}, Roles: map[string]string{"*": "viewer", "acme": "operator"},
		CreatedBy: "adam", Owner: "ann@id.example", CreatedAt: at, ExpiresAt: &expires,
	}
	require.NoError(t, s.CreateToken(ctx, one, "api"))
	other := ledger.Token{Name: "a", SHA256: [32]byte{2}, Roles: map[string]string{"*": "admin"}, CreatedBy: "adam", Owner: "adam", CreatedAt: at}
	require.NoError(t, s.CreateToken(ctx, other, "api"))
	again := other
	again.SHA256 = [32]byte{3}
	require.True(t, fault.Is(s.CreateToken(ctx, again, "api"), fault.RequestInvalid), "a name can be used once")

	got, err := s.FindToken(ctx, one.SHA256)
	require.NoError(t, err)
	require.Equal(t, one, got)
	_, err = s.FindToken(ctx, [32]byte{3})
	require.True(t, fault.Is(err, fault.NotFound))
	list, err := s.Tokens(ctx)
	require.NoError(t, err)
	require.Equal(t, []ledger.Token{other, one}, list)

	used := at.Add(time.Minute)
	require.NoError(t, s.TouchToken(ctx, one.SHA256, used))
	require.NoError(t, s.TouchToken(ctx, one.SHA256, at), "an older use changes nothing")
	require.NoError(t, s.TouchToken(ctx, [32]byte{3}, at))

	require.NoError(t, s.RevokeToken(ctx, "ci", "adam", "api", used))
	require.NoError(t, s.RevokeToken(ctx, "ci", "eve", "api", used.Add(time.Hour)), "a second revocation changes nothing")
	require.True(t, fault.Is(s.RevokeToken(ctx, "b", "adam", "api", used), fault.NotFound))
	got, err = s.FindToken(ctx, one.SHA256)
	require.NoError(t, err)
	one.RevokedAt, one.RevokedBy, one.LastUsedAt = &used, "adam", &used
	require.Equal(t, one, got)
	require.True(t, fault.Is(s.CreateToken(ctx, ledger.Token{
		Name: "ci", SHA256: [32]byte{4}, Roles: one.Roles, CreatedBy: "adam", CreatedAt: at,
	}, "api"), fault.RequestInvalid), "not even after it was revoked")
}

func testSessions(t *testing.T, s Store) {
	t.Helper()
	ctx, at := t.Context(), time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	person := ledger.Session{
		SHA256: [32]byte{1}, Name: "ada@id.example", Display: "Ada", Groups: []string{"ops", "all"}, CSRF: "c",
		CreatedAt: at, SeenAt: at, ExpiresAt: at.Add(time.Hour),
	}
	require.NoError(t, s.CreateSession(ctx, person))
	byToken := person
	byToken.SHA256, byToken.Token, byToken.Groups = [32]byte{2}, &[32]byte{9}, []string{}
	require.NoError(t, s.CreateSession(ctx, byToken))
	require.NoError(t, s.TouchSession(ctx, person.SHA256, at.Add(time.Minute)))
	require.NoError(t, s.TouchSession(ctx, person.SHA256, at))
	person.SeenAt = at.Add(time.Minute)
	for _, want := range []ledger.Session{person, byToken} {
		got, err := s.FindSession(ctx, want.SHA256)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.NoError(t, s.EndSession(ctx, person.SHA256))
	require.NoError(t, s.EndSession(ctx, person.SHA256))
	_, err := s.FindSession(ctx, person.SHA256)
	require.True(t, fault.Is(err, fault.NotFound))

	// Creating a session deletes those that have expired.
	late := person
	late.CreatedAt = at.Add(2 * time.Hour)
	require.NoError(t, s.CreateSession(ctx, late))
	_, err = s.FindSession(ctx, byToken.SHA256)
	require.True(t, fault.Is(err, fault.NotFound))
}

func testLogins(t *testing.T, s Store) {
	t.Helper()
	ctx, at := t.Context(), time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	l := ledger.Login{
		State: [32]byte{1}, Browser: [32]byte{2}, Verifier: "v", Nonce: "n", Next: "/emails", ExpiresAt: at.Add(time.Minute),
	}
	require.NoError(t, s.SaveLogin(ctx, l, at))
	got, err := s.TakeLogin(ctx, l.State)
	require.NoError(t, err)
	require.Equal(t, l, got)
	_, err = s.TakeLogin(ctx, l.State)
	require.True(t, fault.Is(err, fault.NotFound), "a login can be taken once")

	require.NoError(t, s.SaveLogin(ctx, l, at))
	other := l
	other.State = [32]byte{3}
	require.NoError(t, s.SaveLogin(ctx, other, at.Add(time.Hour)))
	_, err = s.TakeLogin(ctx, l.State)
	require.True(t, fault.Is(err, fault.NotFound), "a login that expired was deleted")
}
