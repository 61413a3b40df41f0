package postgres_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

// expired is a lease that ends before it begins.
const expired = -time.Second

func claim(t *testing.T, db *pgtest.DB, limit int, lease time.Duration) []int64 {
	t.Helper()
	list, err := db.ClaimWaiting(t.Context(), limit, lease)
	require.NoError(t, err)
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].Email.ID
	}
	return ids
}

func fill(t *testing.T, db *pgtest.DB, n int) []int64 {
	t.Helper()
	batch := make([]postgres.Acceptance, n)
	for i := range batch {
		batch[i] = event(fmt.Sprintf("e%04d", i), "body")
	}
	ids := make([]int64, n)
	for i, a := range accept(t, db, batch...) {
		ids[i] = a.Row.Email.ID
	}
	return ids
}

func TestClaimOldestFirst(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	ids := fill(t, db, 5)
	require.Equal(t, ids[:2], claim(t, db, 2, lease))
	require.Equal(t, ids[2:], claim(t, db, 10, lease))
	require.Empty(t, claim(t, db, 10, lease))
}

func TestClaimTwoClaimersNeverShareARow(t *testing.T) {
	t.Parallel()
	const rows, claimers = 200, 4
	db := pgtest.New(t)
	ids := fill(t, db, rows)
	handed := make(chan []int64, rows*claimers)
	var wg sync.WaitGroup
	for range claimers {
		wg.Go(func() {
			for range rows {
				list, err := db.ClaimWaiting(t.Context(), 7, lease)
				if err != nil || len(list) == 0 {
					return
				}
				mine := make([]int64, len(list))
				for i := range list {
					mine[i] = list[i].Email.ID
				}
				handed <- mine
			}
		})
	}
	wg.Wait()
	close(handed)
	var all []int64
	for mine := range handed {
		all = append(all, mine...)
	}
	// Rows that were locked by another claimer were skipped, none is lost.
	all = append(all, claim(t, db, rows, lease)...)
	require.ElementsMatch(t, ids, all)
}

func TestLeases(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)

	claimed := event("claimed", "body")
	claimed.Claim = true
	own := accept(t, db, claimed)[0].Row.Email.ID
	require.Empty(t, claim(t, db, 10, lease), "the acceptor holds it")

	got, err := db.Accept(t.Context(), []postgres.Acceptance{func() postgres.Acceptance {
		a := event("late", "body")
		a.Claim = true
		return a
	}()}, expired)
	require.NoError(t, err)
	late := got[0].Row.Email.ID
	require.Equal(t, []int64{late}, claim(t, db, 10, expired), "its lease is over")
	require.Equal(t, []int64{late}, claim(t, db, 10, lease), "so is the lease of the sweep that took it")
	require.Empty(t, claim(t, db, 10, lease))

	require.NoError(t, db.ReleaseClaims(t.Context(), []int64{own, late}, lease))
	require.Empty(t, claim(t, db, 10, lease), "not before the wait is over")
	require.NoError(t, db.ReleaseClaims(t.Context(), []int64{own, late, 999}, expired))
	require.Equal(t, []int64{own, late}, claim(t, db, 10, expired))

	require.NoError(t, db.MarkStarted(t.Context(), []int64{own, 999}), "a row that is gone is fine")
	require.NoError(t, db.ReleaseClaims(t.Context(), []int64{own}, expired))
	require.Equal(t, []int64{late}, claim(t, db, 10, expired), "a started row is not claimed")
}

func TestInboxDepth(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	waiting, oldest, err := db.InboxDepth(t.Context())
	require.NoError(t, err)
	require.Zero(t, waiting)
	require.Zero(t, oldest)

	ids := fill(t, db, 3)
	claim(t, db, 1, lease)
	waiting, oldest, err = db.InboxDepth(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, waiting, "a claimed row still waits")
	require.Positive(t, oldest)

	require.NoError(t, db.MarkStarted(t.Context(), ids))
	waiting, _, err = db.InboxDepth(t.Context())
	require.NoError(t, err)
	require.Zero(t, waiting)
}

func TestCountAhead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	ids := fill(t, db, 5)
	count := func(limit int, ids ...int64) int {
		n, err := db.CountAhead(t.Context(), limit, ids)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, count(10), "nothing is started")
	require.NoError(t, db.MarkStarted(t.Context(), ids[:3]))
	require.Equal(t, 3, count(10))
	require.Equal(t, 2, count(2), "it looks no further than it is told")
	require.Equal(t, 4, count(2, ids[2], ids[4]), "but for the rows that are named, marked or not")
	require.Equal(t, 3, count(10, ids[0], ids[0], ids[2]), "a row counts once")
	require.Equal(t, 3, count(10, 999), "a row that is gone does not count")
	require.NoError(t, db.SaveManifest(t.Context(), ledger.Manifest{EmailID: ids[0], RawKey: "body/aa/aa", Message: []byte("{}")}))
	require.Equal(t, 2, count(10, ids[0]), "a stored email is not ahead any more")
}

// TestWaitingHasItsHash: every way to a row returns the hash of its body.
func TestWaitingHasItsHash(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	one, other := event("one", "body"), event("one", "another body")
	got := accept(t, db, one, event("two", "two"), other)
	require.Equal(t, one.BodySHA256, got[0].Row.BodySHA256)
	require.Equal(t, other.BodySHA256, got[2].Row.BodySHA256)
	again := accept(t, db, one, other)
	require.Equal(t, one.BodySHA256, again[0].Row.BodySHA256)
	require.Equal(t, other.BodySHA256, again[1].Row.BodySHA256)
	list, err := db.ClaimWaiting(t.Context(), 10, lease)
	require.NoError(t, err)
	require.Len(t, list, 3)
	hashes := map[int64][32]byte{}
	for _, w := range list {
		hashes[w.Email.ID] = w.BodySHA256
	}
	for _, a := range got {
		require.Equal(t, a.Row.BodySHA256, hashes[a.Row.Email.ID])
	}
}
