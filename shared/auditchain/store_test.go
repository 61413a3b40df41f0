package auditchain_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/auditchain"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

func stored(t *testing.T, entries int) *pgtest.DB {
	t.Helper()
	db := pgtest.New(t)
	for range entries {
		_, err := db.AppendAudit(t.Context(), ledger.AuditRecord{Kind: ledger.AuditReplay, Tenant: "default", Actor: "olga", Via: "api"})
		require.NoError(t, err)
	}
	return db
}

func TestBeforePagesBackwards(t *testing.T) {
	t.Parallel()
	db, ctx := stored(t, 0), t.Context()
	list, err := auditchain.Before(ctx, db, 0, 50)
	require.NoError(t, err)
	require.Empty(t, list)

	db = stored(t, 55)
	list, err = auditchain.Before(ctx, db, 0, 50)
	require.NoError(t, err)
	require.Len(t, list, 50)
	require.EqualValues(t, 55, list[0].Seq)
	list, err = auditchain.Before(ctx, db, list[49].Seq, 50)
	require.NoError(t, err)
	require.Len(t, list, 5)
	require.EqualValues(t, 5, list[0].Seq)
	list, err = auditchain.Before(ctx, db, 1, 50)
	require.NoError(t, err)
	require.Empty(t, list, "there is nothing before the first")

	checked, broken, err := auditchain.Verify(ctx, db)
	require.NoError(t, err)
	require.EqualValues(t, 55, checked)
	require.Zero(t, broken)
}

// forged is a chain that was changed.
type forged struct {
	*pgtest.DB
	change func([]auditchain.Entry) []auditchain.Entry
}

func (f forged) Audit(ctx context.Context, after int64, limit int) ([]auditchain.Entry, error) {
	list, err := f.AuditChain.Audit(ctx, after, limit)
	return f.change(list), err
}

func TestVerifyFindsTheBreak(t *testing.T) {
	t.Parallel()
	db := stored(t, 3)
	for at, change := range map[int64]func([]auditchain.Entry) []auditchain.Entry{
		2: func(l []auditchain.Entry) []auditchain.Entry {
			for i := range l {
				if l[i].Seq == 2 {
					l[i].Actor = "eve"
				}
			}
			return l
		},
		1: func(l []auditchain.Entry) []auditchain.Entry { return l[min(1, len(l)):] },
		3: func(l []auditchain.Entry) []auditchain.Entry { return l[:min(2, max(0, len(l)-1))] },
	} {
		_, broken, err := auditchain.Verify(t.Context(), forged{db, change})
		require.NoError(t, err)
		require.Equal(t, at, broken)
	}
}
