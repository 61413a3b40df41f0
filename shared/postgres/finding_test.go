package postgres_test

import (
	"os"
	"path/filepath"
	"strings"
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
	require.NoError(t, unlessOverruled(db.Record(ctx, late)))
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

// migrated runs the statement of a migration that begins so once more.
func migrated(t *testing.T, url, file, begin string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("migrations", file))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), begin)
	require.True(t, found)
	rest, _, _ = strings.Cut(rest, ";")
	execute(t, url, begin+rest)
}

// TestHoldsOfAnOlderReleaseAreKept: of mail that it held or discarded the reason is known.
func TestHoldsOfAnOlderReleaseAreKept(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 4)
	for _, r := range contract.Reasons {
		email := heldEmails(t, db, string(r), 1, r)[0]
		execute(t, url, "DELETE FROM findings")
		migrated(t, url, "0023_add_findings.sql", "INSERT INTO findings (email_id, step, reason, detail, ingress, state)\nSELECT id, CASE")
		s, err := db.Standing(ctx, email.ID)
		require.NoError(t, err)
		if !r.Judged() && r != contract.Unroutable && r != contract.ScannerUnavailable {
			require.Empty(t, s.Findings, r)
			continue
		}
		require.Len(t, s.Findings, 1, r)
		require.Equal(t, r, s.Findings[0].Reason)
		require.Equal(t, contract.FindingOpen, s.Findings[0].State)
		require.NotEqual(t, contract.StepRoute, s.From("x"))
	}
}

// TestOwnersOfOlderTokens: a token that was made with a token belongs to the maker of the first.
func TestOwnersOfOlderTokens(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 4)
	for i, made := range [][2]string{{"a", "ada"}, {"b", "a"}, {"c", "b"}, {"d", "bob"}} {
		require.NoError(t, db.CreateToken(ctx, ledger.Token{
			Name: made[0], SHA256: [32]byte{byte(i + 1)}, Roles: map[string]string{"*": "operator"}, CreatedBy: made[1], CreatedAt: time.Now(),
		}, "api"))
	}
	migrated(t, url, "0024_add_owners.sql", "WITH RECURSIVE made AS")
	list, err := db.Tokens(ctx)
	require.NoError(t, err)
	owners := map[string]string{}
	for _, token := range list {
		owners[token.Name] = token.Owner
	}
	require.Equal(t, map[string]string{"a": "ada", "b": "ada", "c": "ada", "d": "bob"}, owners)
}
