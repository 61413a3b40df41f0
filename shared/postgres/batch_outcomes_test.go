package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

// Every replay has at least one dry run, and the list was full of them.
func TestDryRunsAreListedApart(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	counted := newReplay(ledger.Filter{})
	counted.DryRun = true
	dry, started := createReplay(t, db, counted), createReplay(t, db, newReplay(ledger.Filter{}))
	for dryRuns, want := range map[bool]int64{true: dry, false: started} {
		rows, _, err := db.Replays(ctx, ledger.ReplayFilter{DryRuns: dryRuns})
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Equal(t, want, rows[0].ID)
	}
}

// Results said "decided" of emails that were held again, and that nothing was sent of
// those that went out.
func TestOutcomesAreWhatBecameOfEachEmail(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	all := heldEmails(t, db, "held", 4, contract.Unroutable)
	id := createReplay(t, db, newReplay(ledger.Filter{Reason: contract.Unroutable}))
	intent, err := db.ReplayIntent(ctx, id)
	require.NoError(t, err)
	r, fence, err := db.TakeReplay(ctx, id)
	require.NoError(t, err)
	claimed, _, err := db.ClaimReplay(ctx, r, fence, 10)
	require.NoError(t, err)
	require.NoError(t, db.SaveReplayResults(ctx, id, results(claimed[:3], ledger.ItemDone, ledger.ItemDecided), 1))
	require.NoError(t, db.SaveReplayResults(ctx, id, results(claimed[3:], ledger.ItemFailed, ledger.ItemUnavailable), 1))

	sequence := time.Now().UnixMilli()
	record := func(e contract.Email, s contract.State, reason contract.Reason, by *contract.Decision) {
		t.Helper()
		sequence++
		in := contract.RecordInput{Email: e, Sequence: sequence, State: s, Reason: reason, AtUnixMilli: time.Now().UnixMilli(), Decision: by}
		if by != nil {
			in.Before = contract.Quarantined
		}
		require.NoError(t, db.Record(ctx, in))
	}
	deliver := func(e contract.Email) {
		t.Helper()
		require.NoError(t, db.SaveDelivery(ctx, ledger.Delivery{
			EmailID: e.ID, Destination: "ticketing", State: ledger.Delivered, IdempotencyKey: "k", Attempts: 1, DeliveredAt: time.Now(),
		}))
		record(e, contract.Delivered, "", nil)
	}
	retried := &contract.Decision{Action: contract.Retry, Actor: "ann", Via: contract.ViaReplay, Note: "n", Intent: intent}
	record(all[0], contract.Processing, "", retried)
	deliver(all[0])
	record(all[1], contract.Processing, "", retried)
	record(all[1], contract.Quarantined, contract.Infected, nil)

	got, err := db.ReplayOutcomes(ctx, id)
	require.NoError(t, err)
	require.Equal(t, &ledger.ReplayOutcomes{
		Emails:  3, // the third is decided, and on its way
		ByState: map[contract.State]int64{contract.Delivered: 1, contract.Quarantined: 1, contract.Processing: 1},
		HeldFor: map[contract.Reason]int64{contract.Infected: 1},
	}, got)
	sent := func() (out []int64) {
		t.Helper()
		items, _, err := db.ReplayItems(ctx, ledger.ReplayItemFilter{ReplayID: id})
		require.NoError(t, err)
		for _, i := range items {
			out = append(out, i.Sent)
		}
		return out
	}
	require.Equal(t, []int64{1, 0, 0, 0}, sent())

	record(all[1], contract.Processing, "", &contract.Decision{Action: contract.Approve, Actor: "bob", Via: contract.ViaAPI, Note: "n"})
	deliver(all[1])
	require.Equal(t, []int64{1, 0, 0, 0}, sent(), "a later decision has sent it")
}

// TestSelectedEmailsAreLeftOutOnceChanged: a decision about selected rows is about what a
// person has seen.
func TestSelectedEmailsAreLeftOutOnceChanged(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	all := heldEmails(t, db, "held", 4, contract.Unroutable)
	rows, _, err := db.ListEmails(ctx, ledger.Filter{State: contract.Quarantined})
	require.NoError(t, err)
	seen := map[int64]int64{}
	for _, r := range rows {
		seen[r.ID] = r.Version
	}
	require.NoError(t, db.Record(ctx, contract.RecordInput{
		Email: all[1], Sequence: time.Now().UnixMilli(), State: contract.Quarantined, Reason: contract.Infected,
	}))

	choose := func(filter ledger.Filter, list ...ledger.Chosen) (ids []int64) {
		t.Helper()
		filter.Emails, filter.State = list, contract.Quarantined
		r, fence, err := db.TakeReplay(ctx, createReplay(t, db, newReplay(filter)))
		require.NoError(t, err)
		claimed, _, err := db.ClaimReplay(ctx, r, fence, 10)
		require.NoError(t, err)
		require.EqualValues(t, len(claimed), r.Total)
		for _, e := range claimed {
			ids = append(ids, e.ID)
		}
		return ids
	}
	asSeen := func(i int) ledger.Chosen { return ledger.Chosen{Number: all[i].ID, Version: seen[all[i].ID]} }
	require.Equal(t, []int64{all[0].ID, all[3].ID}, choose(ledger.Filter{}, asSeen(0), asSeen(1), asSeen(3)))
	require.Equal(t, []int64{all[1].ID}, choose(ledger.Filter{}, ledger.Chosen{Number: all[1].ID}), "any version")
	require.Empty(t, choose(ledger.Filter{Tenants: []string{"another"}}, asSeen(0)))
	require.Empty(t, choose(ledger.Filter{Reason: contract.Infected}, asSeen(0)))
}
