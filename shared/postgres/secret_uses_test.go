package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

// TestSecretUsesKeepTheLatest, whichever ingress saves first.
func TestSecretUsesKeepTheLatest(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	require.NoError(t, db.SaveSecretUses(ctx, nil))
	at := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	one := ledger.SecretUse{Source: "mailparse", Ref: "env:NOW", UsedAt: at}
	other := ledger.SecretUse{Source: "mailparse", Ref: "env:NOW", Scheme: "basic", UsedAt: at.Add(time.Hour)}
	open := ledger.SecretUse{Source: "open", UsedAt: at}
	require.NoError(t, db.SaveSecretUses(ctx, []ledger.SecretUse{open, other, one}))

	early, late := one, other
	early.UsedAt, late.UsedAt = at.Add(-time.Hour), at.Add(2*time.Hour)
	require.NoError(t, db.SaveSecretUses(ctx, []ledger.SecretUse{early, late}))
	list, err := db.SecretUses(ctx, []string{"mailparse", "gone"})
	require.NoError(t, err)
	require.Equal(t, []ledger.SecretUse{one, late}, list)
	list, err = db.SecretUses(ctx, []string{"open"})
	require.NoError(t, err)
	require.Equal(t, []ledger.SecretUse{open}, list)
}
