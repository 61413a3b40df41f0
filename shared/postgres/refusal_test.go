package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

const whyRefused = "Temporal refuses to start its workflow: WorkflowId length exceeds limit."

// refused returns an email whose start was refused for good, the only one of its ledger.
func refused(t *testing.T, db *pgtest.DB) *ledger.EmailRow {
	t.Helper()
	fill(t, db, 1)
	claimed := claim(t, db, 1, time.Minute)
	require.Len(t, claimed, 1)
	r := postgres.Refusal{EmailID: claimed[0], Detail: whyRefused, Final: true}
	require.NoError(t, db.RefuseStart(t.Context(), r))
	require.NoError(t, db.RefuseStart(t.Context(), r), "a repeat changes nothing")
	return stateOf(t, db)
}

func stateOf(t *testing.T, db *pgtest.DB) *ledger.EmailRow {
	t.Helper()
	list, _, err := db.ListEmails(t.Context(), ledger.Filter{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	return &list[0]
}

func intentOf(t *testing.T, db *pgtest.DB, email int64, action contract.Action) int64 {
	t.Helper()
	id, err := db.CreateIntent(t.Context(), ledger.Intent{
		EmailID: email, Action: action, Actor: "ada", Via: contract.ViaConsole, Note: "why not",
	})
	require.NoError(t, err)
	return id
}

// TestEmailThatCannotBeStartedIsShown: an accepted email that Temporal refuses for good
// was tried for ever and shown as being processed.
func TestEmailThatCannotBeStartedIsShown(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	row := refused(t, db)
	require.Equal(t, contract.Quarantined, row.State)
	require.Equal(t, contract.Internal, row.Reason)
	require.Equal(t, whyRefused, row.Detail)
	require.True(t, row.StartRefused)
	require.NotNil(t, row.HeldAt)

	require.NoError(t, db.ReleaseClaims(t.Context(), []int64{row.ID}, -time.Second))
	require.Empty(t, claim(t, db, 10, lease), "no program starts it")
	waiting, oldest, err := db.InboxDepth(t.Context())
	require.NoError(t, err)
	require.Zero(t, waiting, "it must not make the inbox look old, which can close the ingress")
	require.Zero(t, oldest)

	o, err := db.Overview(t.Context(), time.Now(), nil)
	require.NoError(t, err)
	require.Zero(t, o.Inbox.Waiting)
	require.Len(t, o.Held, 1)
	require.Equal(t, contract.Internal, o.Held[0].Reason)
	open, err := db.CountOpen(t.Context())
	require.NoError(t, err)
	require.Equal(t, []postgres.OpenEmails{{State: contract.Quarantined, Reason: contract.Internal, Count: 1}}, open)
	history, err := db.History(t.Context(), row.ID)
	require.NoError(t, err)
	require.Contains(t, history.States[len(history.States)-1].Detail, whyRefused)

	body, err := db.Body(t.Context(), row.ID)
	require.NoError(t, err)
	require.Equal(t, "body", string(body.Inline), "nothing of it is lost")
}

// TestRefusedEmailIsRetried returns it to the inbox, once, and records the operator.
func TestRefusedEmailIsRetried(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	row := refused(t, db)
	intent := intentOf(t, db, row.ID, contract.Retry)
	got, err := db.DecideRefused(t.Context(), row.ID, intent)
	require.NoError(t, err)
	require.Equal(t, contract.DecisionResult{State: contract.Processing}, got)
	_, err = db.DecideRefused(t.Context(), row.ID, intent)
	require.True(t, fault.Is(err, fault.DecisionRefused), err)

	row = stateOf(t, db)
	require.Equal(t, contract.Processing, row.State)
	require.Empty(t, row.Reason)
	require.Nil(t, row.HeldAt)
	require.False(t, row.StartRefused)
	last, found, err := db.LastDecision(t.Context(), row.ID)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "ada", last.Actor)
	require.Equal(t, contract.Internal, last.Reason)
	require.True(t, last.Verified)
	took, err := db.TookIntent(t.Context(), row.ID, intent)
	require.NoError(t, err)
	require.True(t, took)

	require.Equal(t, []int64{row.ID}, claim(t, db, 10, time.Minute), "it is started again at once")
	require.NoError(t, db.RefuseStart(t.Context(), postgres.Refusal{EmailID: row.ID, Detail: "again", Final: true}))
	require.Equal(t, "again", stateOf(t, db).Detail)
}

func TestRefusedEmailIsDiscarded(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	row := refused(t, db)
	got, err := db.DecideRefused(t.Context(), row.ID, intentOf(t, db, row.ID, contract.Discard))
	require.NoError(t, err)
	require.Equal(t, contract.Discarded, got.State)

	now := stateOf(t, db)
	require.Equal(t, contract.Discarded, now.State)
	require.NotNil(t, now.ClosedAt)
	require.False(t, now.StartRefused)
	require.Empty(t, claim(t, db, 10, lease), "no program starts it any more")
	_, err = db.DecideRefused(t.Context(), row.ID, intentOf(t, db, row.ID, contract.Retry))
	require.True(t, fault.Is(err, fault.DecisionRefused), "the first decision wins: %v", err)
	body, err := db.Body(t.Context(), row.ID)
	require.NoError(t, err)
	require.Equal(t, "body", string(body.Inline), "until policy removes it")
}

// TestRefusedEmailTakesNoOtherDecision: nothing has been held that could be approved.
func TestRefusedEmailTakesNoOtherDecision(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	row := refused(t, db)
	_, err := db.DecideRefused(t.Context(), row.ID, intentOf(t, db, row.ID, contract.Approve))
	require.True(t, fault.Is(err, fault.DecisionRefused), err)
	require.Contains(t, fault.From(err).Public, "retry or discard it")

	other := accept(t, db, event("another", "body"))[0].Row.Email.ID
	_, err = db.DecideRefused(t.Context(), row.ID, intentOf(t, db, other, contract.Discard))
	require.True(t, fault.Is(err, fault.DecisionRefused), "an intent of another email: %v", err)
	_, err = db.DecideRefused(t.Context(), other, intentOf(t, db, other, contract.Discard))
	require.True(t, fault.Is(err, fault.DecisionRefused), "an email that waits for its start: %v", err)
}

// TestRefusalThatMayPass is shown as retrying, claimed again, and taken back.
func TestRefusalThatMayPass(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	ids := fill(t, db, 1)
	claim(t, db, 1, time.Minute)
	require.NoError(t, db.RefuseStart(t.Context(), postgres.Refusal{EmailID: ids[0], Detail: "not yet", Rest: -time.Second}))
	row := stateOf(t, db)
	require.Equal(t, contract.Retrying, row.State)
	require.Equal(t, contract.Internal, row.Reason)
	require.False(t, row.StartRefused)

	list, err := db.ClaimWaiting(t.Context(), 1, time.Minute)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.True(t, list[0].Refused)
	require.NoError(t, db.ClearRefusal(t.Context(), ids[0]))
	row = stateOf(t, db)
	require.Equal(t, contract.Processing, row.State)
	require.Empty(t, row.Detail)
}

// TestWorkflowOverrulesARefusal: a refusal that was wrong, or is late, changes nothing
// that the email's workflow has said or says.
func TestWorkflowOverrulesARefusal(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	row := refused(t, db)
	held := contract.RecordInput{
		Email: row.Email(), Sequence: 1, State: contract.Quarantined, Reason: contract.Unroutable, AtUnixMilli: time.Now().UnixMilli(),
	}
	held.Sequence = held.AtUnixMilli // as workflows number them
	require.NoError(t, db.Record(t.Context(), held))
	require.Equal(t, contract.Unroutable, stateOf(t, db).Reason)

	require.NoError(t, db.ClearRefusal(t.Context(), row.ID))
	_, err := db.DecideRefused(t.Context(), row.ID, intentOf(t, db, row.ID, contract.Approve))
	require.True(t, fault.Is(err, fault.DecisionRefused), err)
	require.NoError(t, db.MarkStarted(t.Context(), []int64{row.ID}))
	require.NoError(t, db.RefuseStart(t.Context(), postgres.Refusal{EmailID: row.ID, Detail: "late", Final: true}))
	require.Equal(t, contract.Unroutable, stateOf(t, db).Reason)
}
