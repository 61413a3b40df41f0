package postgres_test

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

// callAt is when the fallback events of these tests came, which is not when those
// of event() did.
const callAt = 1_791_000_000_456

// fallback returns what the workflow of a fallback event asks for: under the plain id,
// or under that of a conflict.
func fallback(id, body string) contract.BackfillInput {
	return contract.BackfillInput{
		Email: contract.Email{
			WorkflowID: contract.WorkflowID(contract.FirstSource, id), Source: contract.FirstSource, EventID: id,
			Tenant: "default", CorrelationID: "carried-" + id, Size: int64(len(body)),
		},
		ReceivedAtUnixMilli: callAt,
		Fallback:            contract.FallbackEvent{BodySHA256: sha256.Sum256([]byte(body))},
	}
}

func conflicting(id, body string) contract.BackfillInput {
	in := fallback(id, body)
	in.Email.WorkflowID = conflictID(id, body)
	return in
}

func conflictID(id, body string) string {
	return contract.ConflictWorkflowID(contract.FirstSource, id, sha256.Sum256([]byte(body)))
}

func backfill(t *testing.T, db *pgtest.DB, in contract.BackfillInput, body string) contract.BackfillResult {
	t.Helper()
	out, err := db.BackfillRow(t.Context(), in, []byte(body))
	require.NoError(t, err)
	return out
}

// finish brings a row to its end.
func finish(t *testing.T, db *pgtest.DB, e contract.Email) {
	t.Helper()
	store(t, db, e)
	require.NoError(t, db.Record(t.Context(), contract.RecordInput{Email: e, Sequence: 9, State: contract.Delivered, AtUnixMilli: 1}))
}

func store(t *testing.T, db *pgtest.DB, e contract.Email) {
	t.Helper()
	require.NoError(t, db.SaveManifest(t.Context(), ledger.Manifest{EmailID: e.ID, RawKey: "body/aa/aa", Message: []byte("{}")}))
}

// sweepable returns the workflows that a sweep would start now, and starts them.
func sweepable(t *testing.T, db *pgtest.DB) []string {
	t.Helper()
	list, err := db.ClaimWaiting(t.Context(), 100, lease)
	require.NoError(t, err)
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].Email.WorkflowID
	}
	return ids
}

func bodyOf(t *testing.T, db *pgtest.DB, e contract.Email) string {
	t.Helper()
	b, err := db.Body(t.Context(), e.ID)
	require.NoError(t, err)
	return string(b.Inline)
}

var elsewhere = contract.BackfillResult{Duplicate: true, State: contract.Duplicate}

func TestBackfillFreeID(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	in := fallback("e", "one")
	in.Hold = &contract.Hold{Reason: contract.RecipientForeign, Detail: "no recipient is ours"}
	out := backfill(t, db, in, "one")
	want := in.Email
	want.ID = out.Email.ID
	require.Positive(t, want.ID)
	require.Equal(t, contract.BackfillResult{
		Email: want, ReceivedAtUnixMilli: callAt, Hold: in.Hold, State: contract.Processing,
	}, out)
	require.Equal(t, "one", bodyOf(t, db, out.Email))
	require.Empty(t, sweepable(t, db), "its workflow runs")

	require.Equal(t, out, backfill(t, db, in, "one"), "a repeat after a lost answer")
	store(t, db, out.Email)
	require.Equal(t, out, backfill(t, db, in, "one"), "a repeat after the store step")
	finish(t, db, out.Email)
	again := backfill(t, db, in, "one")
	require.Equal(t, out.Email, again.Email, "a reset of the workflow processes it again")
	require.Equal(t, contract.Delivered, again.State)
	waiting, _, err := db.InboxDepth(t.Context())
	require.NoError(t, err)
	require.Zero(t, waiting, "nothing was inserted again")

	copyLater := in
	copyLater.ReceivedAtUnixMilli++
	require.Equal(t, elsewhere, backfill(t, db, copyLater, "one"), "a copy after the retention of the workflow")
}

func TestBackfillBodyInTheObjectStore(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	in := fallback("e", "one")
	in.Fallback.BodyKey = "body/ab/abcd"
	out, err := db.BackfillRow(t.Context(), in, nil)
	require.NoError(t, err)
	b, err := db.Body(t.Context(), out.Email.ID)
	require.NoError(t, err)
	require.Equal(t, "body/ab/abcd", b.Key)
	require.Nil(t, b.Inline)
}

// TestBackfillSameBodyCameThroughTheDatabase: the starter found the id in use, so the
// row is this workflow's to process, with the row's own hold.
func TestBackfillSameBodyCameThroughTheDatabase(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]*contract.Hold{
		"held": {Reason: contract.RecipientForeign, Detail: "no recipient is ours"}, "free": nil,
	} {
		db := pgtest.New(t)
		a := event("e", "one")
		a.Hold = hold
		row := accept(t, db, a)[0].Row
		in := fallback("e", "one")
		in.Hold = &contract.Hold{Reason: contract.SchemaInvalid, Detail: "what the other ingress said"}
		out := backfill(t, db, in, "one")
		require.Equal(t, contract.BackfillResult{
			Email: row.Email, ReceivedAtUnixMilli: a.ReceivedAt.UnixMilli(), Hold: hold, State: contract.Processing,
		}, out, name)
		require.Empty(t, sweepable(t, db), name)
		finish(t, db, row.Email)
		require.Equal(t, elsewhere, backfill(t, db, in, "one"), name)
	}
}

// TestBackfillAnotherBodyTookTheID: what came through the database while this
// workflow occupied its id has no other workflow.
func TestBackfillAnotherBodyTookTheID(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	row := accept(t, db, event("e", "two"))[0].Row
	in := fallback("e", "one")
	in.Hold = &contract.Hold{Reason: contract.SchemaInvalid, Detail: "this is about the other body"}
	for range 2 {
		out := backfill(t, db, in, "one")
		require.Equal(t, row.Email, out.Email)
		require.True(t, out.OtherBody)
		require.Nil(t, out.Hold)
	}
	other, err := db.ClaimWaiting(t.Context(), 10, lease)
	require.NoError(t, err)
	require.Empty(t, other, "the conflict is claimed for a moment, the first is started")
	depth, _, err := db.InboxDepth(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, depth, "the conflict waits for a sweep")

	// The sweep's workflow, or Temporal's under the same id, finds the conflict.
	conflict := backfill(t, db, conflicting("e", "one"), "one")
	require.Equal(t, conflictID("e", "one"), conflict.Email.WorkflowID)
	require.Equal(t, contract.IDConflict, conflict.Hold.Reason)
	require.Equal(t, "one", bodyOf(t, db, conflict.Email))

	finish(t, db, row.Email)
	require.Equal(t, elsewhere, backfill(t, db, in, "one"), "the other body is done, this one is a conflict")
}

func TestBackfillFinishedBodyHasTheID(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	finish(t, db, accept(t, db, event("e", "two"))[0].Row.Email)
	require.Equal(t, elsewhere, backfill(t, db, fallback("e", "one"), "one"))
	depth, _, err := db.InboxDepth(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, depth, "this body is a conflict that waits for a sweep")
}

func TestBackfillAsConflict(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	in := conflicting("e", "two")
	require.Equal(t, contract.BackfillResult{FirstMissing: true}, backfill(t, db, in, "two"), "the first is not there yet")
	depth, _, err := db.InboxDepth(t.Context())
	require.NoError(t, err)
	require.Zero(t, depth, "the id is kept free for it")

	backfill(t, db, fallback("e", "one"), "one")
	one, two := sha256.Sum256([]byte("one")), sha256.Sum256([]byte("two"))
	out := backfill(t, db, in, "two")
	require.Equal(t, in.Email.WorkflowID, out.Email.WorkflowID)
	require.Equal(t, contract.IDConflict, out.Hold.Reason)
	require.Contains(t, out.Hold.Detail, hex.EncodeToString(one[:]))
	require.Contains(t, out.Hold.Detail, hex.EncodeToString(two[:]))
	require.Equal(t, "two", bodyOf(t, db, out.Email))
	require.Empty(t, sweepable(t, db))

	require.Equal(t, out, backfill(t, db, in, "two"), "a repeat")
	store(t, db, out.Email)
	require.Equal(t, out, backfill(t, db, in, "two"), "a repeat without the inbox row keeps the hold")

	late := in
	late.ReceivedAtUnixMilli++
	require.Equal(t, out.Email, backfill(t, db, late, "two").Email, "it is not finished")
	finish(t, db, out.Email)
	require.Equal(t, elsewhere, backfill(t, db, late, "two"))
}

func TestBackfillConflictThatIsNone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	row := accept(t, db, event("e", "one"))[0].Row
	require.Equal(t, elsewhere, backfill(t, db, conflicting("e", "one"), "one"), "a plain repeat")
	require.Equal(t, []string{row.Email.WorkflowID}, sweepable(t, db), "which leaves the row to its starter")
}

// TestBackfillFirstNeverCame: after long a conflict may have the id, and keeps it.
func TestBackfillFirstNeverCame(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	in := conflicting("e", "two")
	in.TakeEventID = true
	out := backfill(t, db, in, "two")
	require.Equal(t, in.Email.WorkflowID, out.Email.WorkflowID)
	require.Nil(t, out.Hold, "nothing else was done under this id")
	require.Equal(t, out, backfill(t, db, in, "two"))

	require.Equal(t, elsewhere, backfill(t, db, fallback("e", "two"), "two"), "the same body under the plain id")
	require.Equal(t, elsewhere, backfill(t, db, fallback("e", "one"), "one"), "another workflow processes the first row")
	require.Equal(t, conflictID("e", "one"), backfill(t, db, conflicting("e", "one"), "one").Email.WorkflowID,
		"and that body is a conflict")
}

func TestBackfillLost(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	lost := func(in contract.BackfillInput) (contract.BackfillResult, bool) {
		out, found, err := db.BackfillLost(t.Context(), in)
		require.NoError(t, err)
		return out, found
	}
	in := fallback("e", "one")
	_, found := lost(in)
	require.False(t, found)
	other := accept(t, db, event("e", "two"))[0].Row
	_, found = lost(in)
	require.False(t, found, "what is there is another body")

	in.Discarded = true
	out, found := lost(in)
	require.True(t, found)
	require.True(t, out.OtherBody, "the discard is not about that one")
	require.Equal(t, other.Email, out.Email)

	row := accept(t, db, event("f", "one"))[0].Row
	out, found = lost(fallback("f", "one"))
	require.True(t, found, "the provider sent it again")
	require.Equal(t, row.Email, out.Email)
	out, found = lost(conflicting("f", "one"))
	require.True(t, found)
	require.Equal(t, elsewhere, out)

	in = fallback("g", "one")
	in.Discarded = true
	out, found = lost(in)
	require.True(t, found)
	again, _ := lost(in)
	require.Equal(t, out, again)
	require.False(t, out.OtherBody)
	require.Positive(t, out.Email.ID)
	require.Empty(t, sweepable(t, db), "a row without a body is never started, the others' workflows run")
	_, err := db.Body(t.Context(), out.Email.ID)
	require.True(t, fault.Is(err, fault.ContentLost), "%v", err)
	require.Equal(t, postgres.Duplicate, accept(t, db, event("g", "one"))[0].Outcome, "a copy finds it known")

	in = conflicting("g", "two")
	in.Discarded = true
	out, found = lost(in)
	require.True(t, found)
	require.Equal(t, in.Email.WorkflowID, out.Email.WorkflowID)
	require.Equal(t, postgres.Duplicate, accept(t, db, event("g", "two"))[0].Outcome)
	in = conflicting("h", "two")
	in.Discarded = true
	out, _ = lost(in)
	require.Equal(t, elsewhere, out, "the id is kept free for the first")
}

// TestBackfillAtOnce: whatever comes at the same time on whichever way, each body has
// one row, and each row without a workflow is there for a sweep.
func TestBackfillAtOnce(t *testing.T) {
	t.Parallel()
	const rounds, each = 20, 4
	db := pgtest.New(t)
	for round := range rounds {
		id := "e" + string(rune('a'+round))
		var mu sync.Mutex
		processedBy := map[string]int64{}
		var wg sync.WaitGroup
		start := make(chan struct{})
		run := func(in contract.BackfillInput, body string) {
			wg.Go(func() {
				<-start
				for {
					out, err := db.BackfillRow(t.Context(), in, []byte(body))
					if err != nil || out.FirstMissing {
						continue
					}
					mu.Lock()
					defer mu.Unlock()
					if !out.Duplicate {
						processedBy[in.Email.WorkflowID] = out.Email.ID
					}
					return
				}
			})
		}
		for range each {
			run(fallback(id, "one"), "one")
			run(conflicting(id, "two"), "two")
			wg.Go(func() {
				<-start
				_, _ = db.Accept(t.Context(), []postgres.Acceptance{event(id, "two"), event(id, "one")}, lease)
			})
		}
		close(start)
		wg.Wait()
		plain := contract.WorkflowID(contract.FirstSource, id)
		require.Contains(t, processedBy, plain, "the first row is always processed")
		seen := map[string]bool{}
		for _, e := range sweepableRows(t, db) {
			require.NotContains(t, processedBy, e.WorkflowID, "a row with a workflow is not started again")
			seen[bodyOf(t, db, e)] = true
		}
		for _, row := range processedBy {
			seen[bodyOf(t, db, contract.Email{ID: row})] = true
		}
		require.Len(t, seen, 2, "both bodies are on their way")
	}
}

// sweepableRows returns what a sweep finds once every lease is over, and starts it.
func sweepableRows(t *testing.T, db *pgtest.DB) []contract.Email {
	t.Helper()
	all := make([]int64, 2000) // more than these tests make
	for i := range all {
		all[i] = int64(i)
	}
	require.NoError(t, db.ReleaseClaims(t.Context(), all, expired))
	list, err := db.ClaimWaiting(t.Context(), 100, lease)
	require.NoError(t, err)
	out, ids := make([]contract.Email, len(list)), make([]int64, len(list))
	for i := range list {
		out[i], ids[i] = list[i].Email, list[i].Email.ID
	}
	require.NoError(t, db.MarkStarted(t.Context(), ids))
	return out
}

func TestBackfillWithoutADatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t, "postgres://nobody@127.0.0.1:1/none?connect_timeout=2", 1)
	for _, in := range []contract.BackfillInput{fallback("e", "one"), conflicting("e", "one")} {
		_, err := db.BackfillRow(t.Context(), in, []byte("one"))
		require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
		_, _, err = db.BackfillLost(t.Context(), in)
		require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
	}
}

// TestBackfillFindsTheRowOfALostAnswer: the write of the ingress was committed although
// its answer was lost, so that Temporal accepted the same call. The row is that call's own.
func TestBackfillFindsTheRowOfALostAnswer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	in := fallback("e", "one")
	at := time.UnixMilli(callAt).Add(123456 * time.Nanosecond) // as time.Now returns it
	_, err := db.Accept(t.Context(), []postgres.Acceptance{{
		Source: in.Email.Source, EventID: in.Email.EventID, WorkflowID: in.Email.WorkflowID, Tenant: "default",
		CorrelationID: in.Email.CorrelationID, BodySHA256: sha256.Sum256([]byte("one")), Size: 3, ReceivedAt: at, Body: []byte("one"),
	}}, time.Second)
	require.NoError(t, err)
	out := backfill(t, db, in, "one")
	require.False(t, out.Duplicate)
	finish(t, db, out.Email)
	again := backfill(t, db, in, "one")
	require.Equal(t, out.Email, again.Email, "a reset of the workflow processes it again")
	require.Equal(t, contract.Delivered, again.State)
}
