package postgres_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

const lease = time.Minute

// event returns an Acceptance of source mailparse with the given body.
func event(id, body string) postgres.Acceptance {
	return postgres.Acceptance{
		Source: contract.FirstSource, EventID: id, WorkflowID: contract.WorkflowID(contract.FirstSource, id),
		Tenant: "default", CorrelationID: "corr-" + id, BodySHA256: sha256.Sum256([]byte(body)),
		Size: int64(len(body)), ReceivedAt: time.UnixMilli(1_790_000_000_123).UTC(), Body: []byte(body),
	}
}

func accept(t *testing.T, db *pgtest.DB, batch ...postgres.Acceptance) []postgres.Accepted {
	t.Helper()
	out, err := db.Accept(t.Context(), batch, lease)
	require.NoError(t, err)
	require.Len(t, out, len(batch))
	return out
}

func outcomes(list []postgres.Accepted) []postgres.Outcome {
	out := make([]postgres.Outcome, len(list))
	for i := range list {
		out[i] = list[i].Outcome
	}
	return out
}

func TestAcceptFreshAndDuplicate(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := event("b-2", "one"), event("a-1", "two") // not in the order of the index
	b.Hold = &contract.Hold{Reason: contract.RecipientForeign, Detail: "no recipient of this tenant\x00\xff"}
	b.Body, b.BodyKey = nil, "body/ab/abcd"

	got := accept(t, db, a, b)
	require.Equal(t, []postgres.Outcome{postgres.Inserted, postgres.Inserted}, outcomes(got))
	require.Equal(t, contract.Email{
		ID: got[0].Row.Email.ID, WorkflowID: "b-2", Source: contract.FirstSource, EventID: "b-2", Tenant: "default",
		CorrelationID: "corr-b-2", Size: 3,
	}, got[0].Row.Email)
	require.Positive(t, got[0].Row.Email.ID)
	require.Equal(t, b.Hold, got[1].Row.Hold)

	again := accept(t, db, event("a-1", "two"), event("c-3", "three"), event("b-2", "one"))
	require.Equal(t, []postgres.Outcome{postgres.Duplicate, postgres.Inserted, postgres.Duplicate}, outcomes(again))
	require.Equal(t, got[1].Row.Email, again[0].Row.Email)
	require.Equal(t, got[0].Row.Email, again[2].Row.Email)
	require.Equal(t, a.ReceivedAt, again[0].Row.ReceivedAt)

	inline, err := db.Body(t.Context(), got[0].Row.Email.ID)
	require.NoError(t, err)
	require.Equal(t, "one", string(inline.Inline))
	require.Empty(t, inline.Key)
	require.Equal(t, a.BodySHA256, inline.SHA256)
	require.Equal(t, a.ReceivedAt, inline.ReceivedAt)
	require.False(t, inline.Stored)
	keyed, err := db.Body(t.Context(), got[1].Row.Email.ID)
	require.NoError(t, err)
	require.Nil(t, keyed.Inline)
	require.Equal(t, "body/ab/abcd", keyed.Key)

	waiting, err := db.ClaimWaiting(t.Context(), 10, lease)
	require.NoError(t, err)
	for _, w := range waiting {
		if w.Email.EventID == "a-1" {
			require.Equal(t, "no recipient of this tenant\uFFFD", w.Hold.Detail)
		}
	}
}

func TestAcceptNothing(t *testing.T) {
	t.Parallel()
	require.Empty(t, accept(t, pgtest.New(t)))
}

func TestAcceptSameIDOfTwoSources(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	other := event("e", "body")
	other.Source = "postmark"
	got := accept(t, db, event("e", "body"), other)
	require.Equal(t, []postgres.Outcome{postgres.Inserted, postgres.Inserted}, outcomes(got))
}

func TestAcceptConflict(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	first := accept(t, db, event("e", "one"))[0]

	conflict := accept(t, db, event("e", "two"))[0]
	require.Equal(t, postgres.Conflict, conflict.Outcome)
	require.NotEqual(t, first.Row.Email.ID, conflict.Row.Email.ID)
	one, two := sha256.Sum256([]byte("one")), sha256.Sum256([]byte("two"))
	require.Equal(t, contract.ConflictWorkflowID(contract.FirstSource, "e", two), conflict.Row.Email.WorkflowID)
	require.Equal(t, contract.IDConflict, conflict.Row.Hold.Reason)
	require.Contains(t, conflict.Row.Hold.Detail, hex.EncodeToString(one[:]))
	require.Contains(t, conflict.Row.Hold.Detail, hex.EncodeToString(two[:]))

	// A repeat of the conflicting body finds its own row, the first body the first row.
	got := accept(t, db, event("e", "two"), event("e", "one"), event("e", "three"))
	require.Equal(t, []postgres.Outcome{postgres.Duplicate, postgres.Duplicate, postgres.Conflict}, outcomes(got))
	require.Equal(t, conflict.Row.Email, got[0].Row.Email)
	require.Equal(t, first.Row.Email, got[1].Row.Email)

	body, err := db.Body(t.Context(), conflict.Row.Email.ID)
	require.NoError(t, err)
	require.Equal(t, "two", string(body.Inline))
	waiting, err := db.ClaimWaiting(t.Context(), 10, lease)
	require.NoError(t, err)
	require.Len(t, waiting, 3)
	require.Nil(t, waiting[0].Hold)
	require.Equal(t, conflict.Row.Hold, waiting[1].Hold)
}

func TestAcceptRepeatsInsideABatch(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	got := accept(t, db, event("e", "one"), event("e", "two"), event("e", "one"), event("e", "two"), event("f", "one"))
	require.Equal(t, []postgres.Outcome{
		postgres.Inserted, postgres.Conflict, postgres.Duplicate, postgres.Duplicate, postgres.Inserted,
	}, outcomes(got))
	require.Equal(t, got[0].Row.Email, got[2].Row.Email)
	require.Equal(t, got[1].Row.Email, got[3].Row.Email)
	require.Nil(t, got[3].Row.Hold)
	waiting, _, err := db.InboxDepth(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, waiting)
}

func TestAcceptFiftyAtOnce(t *testing.T) {
	t.Parallel()
	const parallel = 50
	url := pgtest.URL(t)
	pools := []*pgtest.DB{pgtest.Open(t, url, parallel/2), pgtest.Open(t, url, parallel/2)}

	results := make([]postgres.Accepted, parallel)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() {
			<-start
			got, err := pools[i%2].Accept(t.Context(), []postgres.Acceptance{event("e", "one")}, lease)
			if err == nil {
				results[i] = got[0]
			}
		})
	}
	close(start)
	wg.Wait()
	count := map[postgres.Outcome]int{}
	for _, r := range results {
		count[r.Outcome]++
		require.Equal(t, results[0].Row.Email, r.Row.Email)
	}
	require.Equal(t, map[postgres.Outcome]int{postgres.Inserted: 1, postgres.Duplicate: parallel - 1}, count)
}

// Batches that share their ids in opposite orders must not deadlock, and every
// body is kept exactly once.
func TestAcceptOverlappingBatches(t *testing.T) {
	t.Parallel()
	const ids, rounds = 400, 8
	db := pgtest.New(t)
	var mu sync.Mutex
	count := map[postgres.Outcome]int{}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for r := range rounds {
		wg.Go(func() {
			batch := make([]postgres.Acceptance, ids)
			for i := range batch {
				n := i
				if r%2 == 1 {
					n = ids - 1 - i
				}
				batch[i] = event(fmt.Sprintf("e%03d", n), fmt.Sprintf("body %d", r%2))
			}
			<-start
			got, err := db.Accept(t.Context(), batch, lease)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				count["failed"]++
			}
			for _, a := range got {
				count[a.Outcome]++
			}
		})
	}
	close(start)
	wg.Wait()
	require.Equal(t, map[postgres.Outcome]int{
		postgres.Inserted: ids, postgres.Conflict: ids, postgres.Duplicate: ids*rounds - 2*ids,
	}, count)
}

func TestAcceptWithoutADatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t, "postgres://nobody@127.0.0.1:1/none?connect_timeout=2", 1)
	_, err := db.Accept(t.Context(), []postgres.Acceptance{event("e", "one")}, lease)
	require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
	require.True(t, fault.From(err).Temporary)
	require.True(t, fault.Is(db.Ping(t.Context()), fault.StorageUnavailable))
}
