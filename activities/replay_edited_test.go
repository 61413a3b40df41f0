package activities_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// TestDryRunFromRawMailKnowsTheEditedDestination: a dry run of a replay from the raw mail
// asked the rules about the mail without its edit, and showed a destination that it would
// not go to.
func TestDryRunFromRawMailKnowsTheEditedDestination(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.emails(t, "done", 1, contract.Delivered, "")
	email, err := b.db.FindEmail(t.Context(), ledger.Lookup{Source: contract.FirstSource, EventID: "done-0"})
	require.NoError(t, err)
	edit, err := b.db.CreateEdit(t.Context(), ledger.NewEdit{
		EmailID: email.ID, Edit: contract.Edit{To: []string{"archive"}}, Actor: "olga", Note: "n", Key: "k", Changes: []ledger.Change{},
	})
	require.NoError(t, err)
	require.NoError(t, b.db.ApplyEdit(t.Context(), contract.ApplyEditInput{Email: email.Email(), EditID: edit}))
	for _, from := range []contract.Step{contract.StepStore, contract.StepRoute} {
		id := b.create(t, ledger.NewReplay{Action: ledger.ActionReplay, From: from, DryRun: true})
		_, err = b.PreviewReplay(t.Context(), contract.ReplayChunkInput{ID: id})
		require.NoError(t, err)
		row, err := b.db.Replay(t.Context(), id)
		require.NoError(t, err)
		require.Empty(t, row.Preview.Sample[0].Error)
		require.Contains(t, row.Preview.Sample[0].Changes, ledger.Change{Field: "routes", After: contract.RouteEdited}, from)
		require.Contains(t, row.Preview.Sample[0].Changes, ledger.Change{Field: "to", After: "archive"}, from)
	}
}
