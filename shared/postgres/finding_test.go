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

// TestFindingsAreKept: those of the ingress from the moment of acceptance on, those of
// steps with the state, an older change never over a newer one.
func TestFindingsAreKept(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	a := event("held", "body")
	a.Hold = &contract.Hold{Reason: contract.RecipientForeign, Detail: "no recipient is ours"}
	email := accept(t, db, a)[0].Row.Email
	ingress := contract.Finding{
		Step: contract.StepStore, Reason: contract.RecipientForeign, Detail: "no recipient is ours", Ingress: true,
		State: contract.FindingOpen, Needed: 1, Approvals: []contract.Approval{},
	}
	s, err := db.Standing(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, ledger.Standing{Findings: []contract.Finding{ingress}}, s)
	require.NoError(t, db.SaveManifest(ctx, manifest(email.ID)))

	infected := contract.Finding{
		Step: contract.StepInspect, Reason: contract.Infected, Detail: "attachment 1", State: contract.FindingOpen, Needed: 2,
		Approvals: []contract.Approval{{Actor: "olga", Verified: true}},
	}
	ingress.State, ingress.Approvals = contract.FindingApproved, []contract.Approval{{Actor: "pia", Verified: true}}
	told := ingress
	told.Ingress, told.Detail = false, ""
	in := contract.RecordInput{
		Email: email, Sequence: 5, State: contract.Quarantined, Reason: contract.Infected, AtUnixMilli: 1_790_000_000_000,
		Inspected: contract.Inspected{AtUnixMilli: 1_790_000_000_000, Content: "aa"}, Findings: []contract.Finding{infected, told},
	}
	for range 2 {
		require.NoError(t, db.Record(ctx, in))
	}
	late := in
	late.Sequence, late.Findings = 4, []contract.Finding{{Step: contract.StepInspect, Reason: contract.Infected, State: contract.FindingPassed}}
	require.NoError(t, db.Record(ctx, late))
	s, err = db.Standing(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, ledger.Standing{Stored: true, Inspected: in.Inspected, Findings: []contract.Finding{ingress, infected}}, s)
	m, err := db.Manifest(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, []contract.Finding{infected}, m.Open)

	in.Sequence, in.State, in.Decision = 6, contract.Discarded, &contract.Decision{Action: contract.Discard, Actor: "olga", Note: "n"}
	in.Findings[0].State, in.Inspected = contract.FindingRepeat, contract.Inspected{}
	require.NoError(t, db.RecordAll(ctx, []contract.RecordInput{in}))
	s, err = db.Standing(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, contract.FindingRepeat, s.Findings[1].State)
	require.Equal(t, "aa", s.Inspected.Content)
	in.Sequence, in.Decision, in.Email.ID = 7, nil, 999
	require.NoError(t, db.Record(ctx, in), "an email that the ledger does not know")
	_, err = db.Standing(ctx, 999)
	require.True(t, fault.Is(err, fault.NotFound))
}

// TestConflictIsKeptAsAFinding: whatever becomes of the inbox row.
func TestConflictIsKeptAsAFinding(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	accept(t, db, event("same", "one"))
	other := accept(t, db, event("same", "two"))[0]
	require.Equal(t, postgres.Conflict, other.Outcome)
	require.NoError(t, db.SaveManifest(ctx, manifest(other.Row.Email.ID)))
	s, err := db.Standing(ctx, other.Row.Email.ID)
	require.NoError(t, err)
	require.Len(t, s.Findings, 1)
	require.Equal(t, contract.IDConflict, s.Findings[0].Reason)
	require.True(t, s.Findings[0].Restored())
}

// TestReplayKnowsWhatIsPassed: what a replay claims and what its dry run counts say
// where an email begins, and what holds it.
func TestReplayKnowsWhatIsPassed(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	list := heldEmails(t, db, "f", 4, contract.Infected)
	record := func(i int, in contract.RecordInput) {
		in.Email, in.Sequence, in.State, in.Reason = list[i], time.Now().Add(-time.Second/2).UnixMilli(), contract.Discarded, contract.Infected
		require.NoError(t, db.Record(ctx, in))
	}
	seen := contract.Inspected{AtUnixMilli: 1, Content: "aa"}
	found := func(at contract.Step, r contract.Reason, s contract.FindingState) []contract.Finding {
		return []contract.Finding{{Step: at, Reason: r, State: s}}
	}
	record(0, contract.RecordInput{})
	record(1, contract.RecordInput{Inspected: seen})
	record(2, contract.RecordInput{Inspected: seen, Findings: found(contract.StepInspect, contract.Infected, contract.FindingOpen)})
	record(3, contract.RecordInput{Inspected: seen, Findings: found(contract.StepStore, contract.MIMEMalformed, contract.FindingRepeat)})
	in := newReplay(ledger.Filter{State: contract.Discarded})
	in.Action, in.From = ledger.ActionReplay, contract.StepRoute
	id := createReplay(t, db, in)
	row, fence, err := db.TakeReplay(ctx, id)
	require.NoError(t, err)
	groups, _, err := db.PreviewReplay(ctx, row, 10)
	require.NoError(t, err)
	require.Len(t, groups, 4)
	claimed, _, err := db.ClaimReplay(ctx, row, fence, 10)
	require.NoError(t, err)
	var from []contract.Step
	for _, e := range claimed {
		from = append(from, e.Earliest)
	}
	require.Equal(t, []contract.Step{contract.StepInspect, contract.StepRoute, contract.StepInspect, contract.StepStore}, from)
	require.Equal(t, contract.Infected, claimed[2].Open[0].Reason)
	require.Nil(t, claimed[1].Open)
}
