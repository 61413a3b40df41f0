package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

// heldEmails accepts n emails that are held for reason.
func heldEmails(t *testing.T, db *pgtest.DB, prefix string, n int, reason contract.Reason) []contract.Email {
	t.Helper()
	var out []contract.Email
	for i := range n {
		id := fmt.Sprintf("%s-%d", prefix, i)
		email := accept(t, db, event(id, "body of "+id))[0].Row.Email
		require.NoError(t, db.SaveManifest(t.Context(), ledger.Manifest{
			EmailID: email.ID, RawKey: "body/" + id, Subject: "Subject " + id, Sender: "a@x.example",
			Recipients: []string{prefix + "@yourapp.example"},
		}))
		require.NoError(t, db.Record(t.Context(), contract.RecordInput{
			Email: email, Sequence: time.Now().Add(-time.Second).UnixMilli(), State: contract.Quarantined, Reason: reason,
		}))
		out = append(out, email)
	}
	return out
}

func newReplay(f ledger.Filter) ledger.NewReplay {
	return ledger.NewReplay{
		Action: contract.Retry, Filter: f, Note: "the rule is there now", Actor: "ann", Via: contract.ViaAPI, Rate: 50,
	}
}

func createReplay(t *testing.T, db *pgtest.DB, in ledger.NewReplay) int64 {
	t.Helper()
	id, _, err := db.CreateReplay(t.Context(), in)
	require.NoError(t, err)
	return id
}

func results(list []ledger.ReplayEmail, state ledger.ReplayItemState, code ledger.ReplayCode) []ledger.ReplayResult {
	var out []ledger.ReplayResult
	for _, e := range list {
		out = append(out, ledger.ReplayResult{EmailID: e.ID, State: state, Code: code})
	}
	return out
}

func TestReplayClaimsEachEmailOnce(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	all := heldEmails(t, db, "early", 5, contract.Unroutable)
	heldEmails(t, db, "other", 2, contract.Infected)
	filter := ledger.Filter{State: contract.Quarantined, Reason: contract.Unroutable}
	id := createReplay(t, db, newReplay(filter))
	heldEmails(t, db, "late", 2, contract.Unroutable)
	// One that was chosen, and has been held anew since, is another matter.
	require.NoError(t, db.Record(ctx, contract.RecordInput{
		Email: all[4], Sequence: time.Now().Add(time.Minute).UnixMilli(), State: contract.Quarantined, Reason: contract.Unroutable,
	}))

	r, fence, err := db.TakeReplay(ctx, id)
	require.NoError(t, err)
	require.EqualValues(t, 4, r.Total)
	require.Equal(t, filter, r.Filter)
	first, end, err := db.ClaimReplay(ctx, r, fence, 3)
	require.NoError(t, err)
	require.False(t, end)
	require.Len(t, first, 3)
	require.Equal(t, all[0].ID, first[0].ID)
	require.NoError(t, db.SaveReplayResults(ctx, id, results(first[:2], ledger.ItemDone, ledger.ItemDecided), 12.5))
	require.NoError(t, db.SaveReplayResults(ctx, id, results(first[:2], ledger.ItemFailed, ledger.ItemRefused), 12.5), "a repeat")

	// A later worker takes it over, and finds the claims without a result.
	r, later, err := db.TakeReplay(ctx, id)
	require.NoError(t, err)
	_, _, err = db.ClaimReplay(ctx, r, fence, 3)
	require.Error(t, err, "who was overtaken claims nothing")
	open, err := db.ClaimedReplay(ctx, id)
	require.NoError(t, err)
	require.Len(t, open, 1)
	require.Equal(t, all[2].ID, open[0].ID)
	require.True(t, open[0].Again)
	rest, end, err := db.ClaimReplay(ctx, r, later, 3)
	require.NoError(t, err)
	require.True(t, end)
	require.Len(t, rest, 1)
	require.Equal(t, all[3].ID, rest[0].ID)
	none, end, err := db.ClaimReplay(ctx, r, later, 3)
	require.NoError(t, err)
	require.True(t, end)
	require.Empty(t, none)
	require.NoError(t, db.SaveReplayResults(ctx, id, results(append(open, rest...), ledger.ItemSkipped, ledger.ItemNotHeld), 3))

	r, err = db.Replay(ctx, id)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"decided": 2, "not_held": 2}, r.Results)
	require.EqualValues(t, 2, r.Done)
	require.EqualValues(t, 2, r.Skipped)
	require.Zero(t, r.Failed)
	require.InDelta(t, 3, r.Pace, 0.01)

	items, cursor, err := db.ReplayItems(ctx, ledger.ReplayItemFilter{ReplayID: id, Limit: 3})
	require.NoError(t, err)
	require.Len(t, items, 3)
	require.Equal(t, "early-0", items[0].EventID)
	items, cursor, err = db.ReplayItems(ctx, ledger.ReplayItemFilter{ReplayID: id, Limit: 3, Cursor: cursor})
	require.NoError(t, err)
	require.Len(t, items, 1)
	require.Empty(t, cursor)
	items, _, err = db.ReplayItems(ctx, ledger.ReplayItemFilter{ReplayID: id, Code: ledger.ItemDecided})
	require.NoError(t, err)
	require.Len(t, items, 2)
}

func TestReplayIsControlledUntilItsEnd(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	heldEmails(t, db, "a", 2, contract.Unroutable)
	id := createReplay(t, db, newReplay(ledger.Filter{State: contract.Quarantined}))
	r, fence, err := db.TakeReplay(ctx, id)
	require.NoError(t, err)
	control := func(state contract.ReplayState) error {
		_, err := db.ControlReplay(ctx, contract.ReplayControlInput{ID: id, State: state})
		return err
	}
	require.NoError(t, control(contract.ReplayPaused))
	list, end, err := db.ClaimReplay(ctx, r, fence, 10)
	require.NoError(t, err)
	require.False(t, end)
	require.Empty(t, list, "paused")
	rate := 7.5
	got, err := db.ControlReplay(ctx, contract.ReplayControlInput{ID: id, Rate: &rate})
	require.NoError(t, err)
	require.Equal(t, contract.ReplayPaused, got.State)
	require.InDelta(t, 7.5, got.Rate, 0)
	require.NoError(t, control(contract.ReplayRunning))
	state, rate, _, err := db.ReplayControl(ctx, id)
	require.NoError(t, err)
	require.Equal(t, contract.ReplayRunning, state)
	require.InDelta(t, 7.5, rate, 0)
	require.NoError(t, control(contract.ReplayStopped))
	require.NoError(t, control(contract.ReplayStopped), "a repeat")
	require.True(t, fault.Is(control(contract.ReplayRunning), fault.DecisionRefused))
	got, err = db.Replay(ctx, id)
	require.NoError(t, err)
	require.NotNil(t, got.EndedAt)
	_, err = db.ControlReplay(ctx, contract.ReplayControlInput{ID: id + 1, State: contract.ReplayPaused})
	require.True(t, fault.Is(err, fault.NotFound))
}

// TestReplayChooses: each part of a filter, and the destination by what is asked.
func TestReplayChooses(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	a := heldEmails(t, db, "a", 1, contract.DownstreamExhausted)[0]
	b := heldEmails(t, db, "b", 1, contract.DownstreamExhausted)[0]
	for _, d := range []ledger.Delivery{
		{EmailID: a.ID, Destination: "ticketing", State: ledger.Retrying, IdempotencyKey: "k"},
		{EmailID: b.ID, Destination: "ticketing", State: ledger.Delivered, IdempotencyKey: "k"},
		{EmailID: b.ID, Destination: "accounting", State: ledger.Retrying, IdempotencyKey: "k"},
	} {
		require.NoError(t, db.SaveDelivery(ctx, d))
	}
	for name, c := range map[string]struct {
		filter ledger.Filter
		action contract.Action
		want   int64
	}{
		"all":                     {ledger.Filter{}, contract.Retry, 2},
		"recipient in any case":   {ledger.Filter{Recipient: "A@YourApp"}, contract.Retry, 1},
		"wildcards mean nothing":  {ledger.Filter{Recipient: "%"}, contract.Retry, 0},
		"sender":                  {ledger.Filter{Sender: "a@x"}, contract.Retry, 2},
		"subject":                 {ledger.Filter{Query: "subject b"}, contract.Retry, 1},
		"another tenant":          {ledger.Filter{Tenant: "nobody"}, contract.Retry, 0},
		"no tenant that may":      {ledger.Filter{Tenants: []string{}}, contract.Retry, 0},
		"a tenant that may":       {ledger.Filter{Tenants: []string{"x", a.Tenant}}, contract.Retry, 2},
		"owed to the destination": {ledger.Filter{Destination: "ticketing"}, contract.Retry, 1},
		"delivered there or owed": {ledger.Filter{Destination: "ticketing"}, ledger.ActionReplay, 2},
		"before":                  {ledger.Filter{Until: time.Now().Add(-24 * 365 * 20 * time.Hour)}, contract.Retry, 0},
		"since":                   {ledger.Filter{Since: time.Now().Add(-24 * 365 * 20 * time.Hour)}, contract.Retry, 2},
	} {
		in := newReplay(c.filter)
		in.Action = c.action
		r, _, err := db.TakeReplay(ctx, createReplay(t, db, in))
		require.NoError(t, err, name)
		require.Equal(t, c.want, r.Total, name)
	}
}

// TestReplayOfAWholeID: evt-1 is not evt-10, whatever has become of it meanwhile.
func TestReplayOfAWholeID(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	list := heldEmails(t, db, "evt", 12, contract.Unroutable)
	claim := func(f ledger.Filter) (ids []int64) {
		r, fence, err := db.TakeReplay(ctx, createReplay(t, db, newReplay(f)))
		require.NoError(t, err)
		got, end, err := db.ClaimReplay(ctx, r, fence, 100)
		require.NoError(t, err)
		require.True(t, end)
		require.EqualValues(t, len(got), r.Total)
		for _, e := range got {
			ids = append(ids, e.ID)
		}
		return ids
	}
	require.Equal(t, []int64{list[1].ID}, claim(ledger.Filter{Query: "evt-1", State: contract.Quarantined}))
	require.Len(t, claim(ledger.Filter{Query: "evt-"}), 12)
	require.Len(t, claim(ledger.Filter{Query: "VT-1"}), 3)
	require.Empty(t, claim(ledger.Filter{Query: "x@nowhere.example"}))
	require.Len(t, claim(ledger.Filter{Query: "evt-1", Tenants: []string{list[0].Tenant}}), 1)
	require.NoError(t, db.Record(ctx, contract.RecordInput{
		Email: list[1], Sequence: time.Now().Add(-time.Millisecond).UnixMilli(), State: contract.Discarded, Reason: contract.Unroutable,
	}))
	require.Empty(t, claim(ledger.Filter{Query: "evt-1", State: contract.Quarantined}), "it was decided: no other is meant")
}

// TestReplayIntentNamesTheReplay: what takes a held email up at an earlier step says
// which replay does; a decision about many is a decision and no more.
func TestReplayIntentNamesTheReplay(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := heldEmails(t, db, "a", 1, contract.Unroutable)[0]
	for name, c := range map[string]struct {
		action contract.Action
		from   contract.Step
		anew   bool
		want   bool
	}{
		"from routing":         {ledger.ActionReplay, contract.StepRoute, false, true},
		"from raw, new effect": {ledger.ActionReplay, contract.StepStore, true, true},
		"from the held step":   {ledger.ActionReplay, "", false, false},
		"a retry":              {contract.Retry, contract.StepRoute, false, false},
	} {
		in := newReplay(ledger.Filter{})
		in.Action, in.From, in.NewEffect = c.action, c.from, c.anew
		r, fence, err := db.TakeReplay(ctx, createReplay(t, db, in))
		require.NoError(t, err, name)
		_, _, err = db.ClaimReplay(ctx, r, fence, 10)
		require.NoError(t, err, name)
		intent, err := db.ReplayIntent(ctx, r.ID)
		require.NoError(t, err, name)
		got, err := db.Intent(ctx, contract.IntentInput{Email: email, Intent: intent})
		require.NoError(t, err, name)
		require.Equal(t, contract.Retry, got.Action, name)
		require.Equal(t, c.from, got.From, name)
		if !c.want {
			require.Nil(t, got.Replay, name)
			continue
		}
		require.Equal(t, &contract.Replayed{ID: r.ID, From: c.from, NewEffect: c.anew}, got.Replay, name)
	}
}

func TestReplaysAreListedForWhoMaySeeThem(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	one := createReplay(t, db, newReplay(ledger.Filter{Tenant: "a"}))
	two := createReplay(t, db, newReplay(ledger.Filter{Tenants: []string{"a", "b"}}))
	three := createReplay(t, db, newReplay(ledger.Filter{}))
	list := func(tenants []string) (ids []int64) {
		rows, _, err := db.Replays(ctx, ledger.ReplayFilter{Tenants: tenants})
		require.NoError(t, err)
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		return ids
	}
	require.Equal(t, []int64{three, two, one}, list(nil))
	require.Equal(t, []int64{two, one}, list([]string{"a", "b"}))
	require.Equal(t, []int64{one}, list([]string{"a"}))
	require.Empty(t, list([]string{}))
	rows, cursor, err := db.Replays(ctx, ledger.ReplayFilter{Limit: 2})
	require.NoError(t, err)
	require.Len(t, rows, 2)
	rows, cursor, err = db.Replays(ctx, ledger.ReplayFilter{Cursor: cursor, Limit: 2})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Empty(t, cursor)
}

func TestOneRecoveryForEachCause(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	in := newReplay(ledger.Filter{})
	in.Cause = "scanner_unavailable"
	id := createReplay(t, db, in)
	_, _, err := db.CreateReplay(ctx, in)
	require.True(t, fault.Is(err, fault.DecisionRefused), "%v", err)
	_, err = db.ControlReplay(ctx, contract.ReplayControlInput{ID: id, State: contract.ReplayDone})
	require.NoError(t, err)
	createReplay(t, db, in)
}

// TestOneReplayForEachDryRunAndKey: however many ask at once, one is begun and all
// are told which.
func TestOneReplayForEachDryRunAndKey(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	dry := newReplay(ledger.Filter{})
	dry.DryRun = true
	from, keyed := newReplay(ledger.Filter{}), newReplay(ledger.Filter{})
	from.StartedFrom, keyed.Key = createReplay(t, db, dry), "night-of-the-25th"
	for _, in := range []ledger.NewReplay{from, keyed} {
		ids, created := make([]int64, 8), atomic.Int64{}
		var g errgroup.Group
		for i := range ids {
			g.Go(func() (err error) {
				var first bool
				ids[i], first, err = db.CreateReplay(ctx, in)
				if first {
					created.Add(1)
				}
				return err
			})
		}
		require.NoError(t, g.Wait())
		require.Equal(t, int64(1), created.Load())
		require.Len(t, slices.Compact(ids), 1)
		r, err := db.Replay(ctx, ids[0])
		require.NoError(t, err)
		require.Equal(t, in.Key, r.Key)
		require.Nil(t, r.StartedAs)
		if in.StartedFrom != 0 {
			require.Equal(t, in.StartedFrom, *r.StartedFrom)
			r, err = db.Replay(ctx, in.StartedFrom)
			require.NoError(t, err)
			require.Equal(t, ids[0], *r.StartedAs)
		}
	}
	entries, err := db.Audit(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 2, "a repeat leaves no entry")

	// A key is the actor's own.
	other := keyed
	other.Actor = "bob"
	_, created, err := db.CreateReplay(ctx, other)
	require.NoError(t, err)
	require.True(t, created)
}

func TestReplayIsInTheAuditChainAndADryRunIsNot(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	in := newReplay(ledger.Filter{Recipient: "secret-recipient@yourapp.example"})
	in.DryRun = true
	createReplay(t, db, in)
	in.DryRun = false
	createReplay(t, db, in)
	entries, err := db.Audit(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "ann", entries[0].Actor)
	require.NotContains(t, entries[0].Body, "secret-recipient")
}

func TestPreviewCountsAndKeeps(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	heldEmails(t, db, "a", 3, contract.Unroutable)
	in := newReplay(ledger.Filter{})
	in.DryRun = true
	id := createReplay(t, db, in)
	r, _, err := db.TakeReplay(ctx, id)
	require.NoError(t, err)
	groups, sample, err := db.PreviewReplay(ctx, r, 2)
	require.NoError(t, err)
	require.Equal(t, []ledger.ReplayGroup{{
		State: "quarantined", Reason: "unroutable", Earliest: contract.StepInspect, Open: []contract.Reason{}, Count: 3,
	}}, groups)
	require.Len(t, sample, 2)
	require.NoError(t, db.SaveReplayPreview(ctx, id, &ledger.ReplayPreview{Total: 3, Evaluated: 2}))
	r, err = db.Replay(ctx, id)
	require.NoError(t, err)
	require.Equal(t, contract.ReplayDone, r.State)
	require.Equal(t, 2, r.Preview.Evaluated)
	idle, err := db.IdleReplays(context.Background(), 0)
	require.NoError(t, err)
	require.Empty(t, idle)
}
