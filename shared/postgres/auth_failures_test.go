package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
	"mailroom/shared/testenv"
)

var failedAt = time.Date(2026, 11, 1, 10, 20, 30, 0, time.UTC)

// failed is one row of mailparse within the hour of at.
func failed(address string, count int64, at time.Time) ledger.VerificationFailure {
	return ledger.VerificationFailure{
		Hour: at.Truncate(time.Hour), Source: "mailparse", Scheme: "timestamp-hmac", Code: string(fault.SignatureInvalid),
		Address: address, Count: count, FirstAt: at, LastAt: at.Add(time.Second),
	}
}

func failures(t *testing.T, db *pgtest.DB, f ledger.FailureFilter) []ledger.VerificationFailure {
	t.Helper()
	list, err := db.VerificationFailures(t.Context(), f)
	require.NoError(t, err)
	require.NotNil(t, list)
	return list
}

func TestVerificationFailuresAddUp(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	require.NoError(t, db.SaveVerificationFailures(ctx, nil))
	require.Empty(t, failures(t, db, ledger.FailureFilter{Source: "mailparse"}))

	first, later := failed("192.0.2.1", 3, failedAt), failed("192.0.2.1", 4, failedAt.Add(time.Minute))
	early := failed("192.0.2.1", 1, failedAt.Add(-time.Minute))
	later.Hour = later.FirstAt // any moment of the hour names it
	rest := failed("", 90, failedAt)
	require.NoError(t, db.SaveVerificationFailures(ctx, []ledger.VerificationFailure{first, rest, early}), "one cause twice in a batch")
	require.NoError(t, db.SaveVerificationFailures(ctx, []ledger.VerificationFailure{later, rest}))

	want := first
	want.Count, want.FirstAt, want.LastAt = 8, early.FirstAt, later.LastAt
	rest.Count = 180
	require.Equal(t, []ledger.VerificationFailure{want, rest}, failures(t, db, ledger.FailureFilter{Source: "mailparse"}))

	bad := failed("192.0.2.9", 0, failedAt)
	require.Error(t, db.SaveVerificationFailures(ctx, []ledger.VerificationFailure{failed("192.0.2.8", 1, failedAt), bad}))
	require.Len(t, failures(t, db, ledger.FailureFilter{Source: "mailparse"}), 2, "all or nothing")

	odd := failed("192.0.2.7\x00\xff", 1, failedAt.Add(time.Hour))
	require.NoError(t, db.SaveVerificationFailures(ctx, []ledger.VerificationFailure{odd}))
	require.Equal(t, "192.0.2.7\uFFFD", failures(t, db, ledger.FailureFilter{Source: "mailparse"})[0].Address)
}

func TestVerificationFailuresFilter(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	other := failed("192.0.2.1", 5, failedAt)
	other.Source, other.Code = "postmark", string(fault.TimestampStale)
	var rows []ledger.VerificationFailure
	for i := range 4 {
		rows = append(rows, failed(fmt.Sprintf("192.0.2.%d", i), 1, failedAt.Add(time.Duration(i)*time.Hour)))
	}
	stale := failed("192.0.2.0", 7, failedAt)
	stale.Code = string(fault.TimestampStale)
	require.NoError(t, db.SaveVerificationFailures(ctx, append(rows, other, stale)))

	addresses := func(f ledger.FailureFilter) []string {
		out := []string{}
		for _, r := range failures(t, db, f) {
			out = append(out, r.Address)
		}
		return out
	}
	for name, tc := range map[string]struct {
		filter ledger.FailureFilter
		want   []string
	}{
		"newest first":          {ledger.FailureFilter{Source: "mailparse"}, []string{"192.0.2.3", "192.0.2.2", "192.0.2.1", "192.0.2.0", "192.0.2.0"}},
		"limit":                 {ledger.FailureFilter{Source: "mailparse", Limit: 2}, []string{"192.0.2.3", "192.0.2.2"}},
		"another source":        {ledger.FailureFilter{Source: "postmark"}, []string{"192.0.2.1"}},
		"no source":             {ledger.FailureFilter{}, []string{}},
		"since the last moment": {ledger.FailureFilter{Source: "mailparse", Since: rows[2].LastAt}, []string{"192.0.2.3", "192.0.2.2"}},
		"since a moment later":  {ledger.FailureFilter{Source: "mailparse", Since: rows[2].LastAt.Add(time.Microsecond)}, []string{"192.0.2.3"}},
		"since the hour":        {ledger.FailureFilter{Source: "mailparse", Since: rows[3].Hour}, []string{"192.0.2.3"}},
		"broken text":           {ledger.FailureFilter{Source: "mail\x00parse", Limit: 1}, []string{"192.0.2.3"}},
	} {
		require.Equal(t, tc.want, addresses(tc.filter), name)
	}

	counts, err := db.CountVerificationFailures(ctx, failedAt)
	require.NoError(t, err)
	require.Equal(t, map[string]map[string]int64{
		"mailparse": {"signature_invalid": 4, "timestamp_stale": 7}, "postmark": {"timestamp_stale": 5},
	}, counts)
	counts, err = db.CountVerificationFailures(ctx, rows[3].LastAt)
	require.NoError(t, err)
	require.Equal(t, map[string]map[string]int64{"mailparse": {"signature_invalid": 1}}, counts)
	counts, err = db.CountVerificationFailures(ctx, failedAt.Add(24*time.Hour))
	require.NoError(t, err)
	require.Equal(t, map[string]map[string]int64{}, counts)
}

func TestVerificationFailuresOfTwoIngresses(t *testing.T) {
	t.Parallel()
	const writers, rounds, addresses = 4, 20, 50
	db := pgtest.New(t)
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rows := make([]ledger.VerificationFailure, addresses)
			for i := range rows { // in another order each
				rows[(i+w*7)%addresses] = failed(fmt.Sprintf("2001:db8::%d", i), 1, failedAt)
			}
			for range rounds {
				if err := db.SaveVerificationFailures(context.Background(), rows); err != nil {
					errs[w] = err
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	list := failures(t, db, ledger.FailureFilter{Source: "mailparse", Limit: 2000})
	require.Len(t, list, addresses)
	for _, r := range list {
		require.EqualValues(t, writers*rounds, r.Count)
	}
}

func TestVerificationFailuresPrune(t *testing.T) {
	t.Parallel()
	const old = 12_001 // more than two statements take
	db, ctx := pgtest.New(t), t.Context()
	rows := make([]ledger.VerificationFailure, 0, old+2)
	for i := range old {
		rows = append(rows, failed(fmt.Sprintf("2001:db8::%x", i), 1, failedAt.Add(-time.Duration(i%48)*time.Hour)))
	}
	kept := failed("192.0.2.1", 1, failedAt.Add(time.Hour))
	require.NoError(t, db.SaveVerificationFailures(ctx, append(rows, kept)))

	end := failedAt.Truncate(time.Hour).Add(time.Hour)
	gone, err := db.PruneVerificationFailures(ctx, end.Add(-49*time.Hour))
	require.NoError(t, err)
	require.Zero(t, gone)
	gone, err = db.PruneVerificationFailures(ctx, end.Add(-time.Microsecond))
	require.NoError(t, err)
	require.EqualValues(t, old-(old+47)/48, gone, "an hour stays until all of it is old")
	gone, err = db.PruneVerificationFailures(ctx, end)
	require.NoError(t, err)
	require.EqualValues(t, (old+47)/48, gone)
	require.Equal(t, []ledger.VerificationFailure{kept}, failures(t, db, ledger.FailureFilter{Source: "mailparse"}))

	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, err = db.PruneVerificationFailures(ctx, end)
	require.ErrorIs(t, err, context.Canceled)
}

func TestVerificationFailuresWithoutADatabase(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.Open(t, "postgres://nobody@127.0.0.1:1/none?connect_timeout=2", 1), t.Context()
	_, list := db.VerificationFailures(ctx, ledger.FailureFilter{})
	_, count := db.CountVerificationFailures(ctx, failedAt)
	_, prune := db.PruneVerificationFailures(ctx, failedAt)
	save := db.SaveVerificationFailures(ctx, []ledger.VerificationFailure{failed("", 1, failedAt)})
	for _, err := range []error{list, count, prune, save} {
		require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
	}
}

// TestVerificationFailuresHoldNothingElse: there is no place for an id, a secret, a
// header or a body.
func TestVerificationFailuresHoldNothingElse(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, pgtest.URL(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT attname::text FROM pg_attribute
 WHERE attrelid = 'verification_failures'::regclass AND attnum > 0 ORDER BY attnum`)
	require.NoError(t, err)
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"hour", "source", "scheme", "code", "address", "count", "first_at", "last_at"}, columns)
}

// TestVerificationMigrationGoesBack: down to the first migration and up again.
func TestVerificationMigrationGoesBack(t *testing.T) {
	t.Parallel()
	ctx, url := t.Context(), testenv.Postgres(t)
	require.NoError(t, postgres.Migrate(ctx, url))
	conf, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	db := stdlib.OpenDB(*conf)
	defer func() { require.NoError(t, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, postgres.Migrations(), goose.WithDisableGlobalRegistry(true))
	require.NoError(t, err)
	_, err = provider.DownTo(ctx, 1)
	require.NoError(t, err)
	require.False(t, tableExists(t, db))
	require.ErrorContains(t, pgtest.Open(t, url, 1).Pending(ctx), "migration 0002_create_verification_failures.sql is not applied")
	require.NoError(t, postgres.Migrate(ctx, url))
	require.True(t, tableExists(t, db))
}

func tableExists(t *testing.T, db *sql.DB) bool {
	t.Helper()
	var there bool
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT to_regclass('verification_failures') IS NOT NULL`).Scan(&there))
	return there
}
