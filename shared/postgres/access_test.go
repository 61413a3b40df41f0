package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/accesstest"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

func TestAccessStore(t *testing.T) {
	t.Parallel()
	accesstest.Run(t, func(t *testing.T) accesstest.Store { t.Helper(); return pgtest.New(t) })
}

// TestTokensAreAudited: the creation and the end of a token are in the chain, once each,
// and nothing that would authenticate a caller.
func TestTokensAreAudited(t *testing.T) {
	t.Parallel()
	db, ctx, at := pgtest.New(t), t.Context(), time.Now()
	token := ledger.Token{
		Name: "ci", SHA256: [32]byte{1}, Roles: map[string]string{"acme": "operator"}, CreatedBy: "adam", CreatedAt: at,
	}
	require.NoError(t, db.CreateToken(ctx, token, "api"))
	require.Error(t, db.CreateToken(ctx, token, "api"))
	require.NoError(t, db.RevokeToken(ctx, "ci", "anna", "mailctl", at))
	require.NoError(t, db.RevokeToken(ctx, "ci", "anna", "mailctl", at))
	require.Error(t, db.RevokeToken(ctx, "none", "anna", "mailctl", at))
	list := chain(t, db)
	require.Len(t, list, 2)
	require.EqualValues(t, ledger.AuditToken, list[0].Kind)
	require.Equal(t, "adam", list[0].Actor)
	require.Equal(t, "api", list[0].Via)
	require.JSONEq(t, `{"action":"create","name":"ci","owner":"","roles":{"acme":"operator"},"expires_at":null}`, list[0].Body)
	require.Equal(t, "anna", list[1].Actor)
	require.JSONEq(t, `{"action":"revoke","name":"ci"}`, list[1].Body)
}
