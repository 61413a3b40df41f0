package batch_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// at is when everything in these tests happens.
var at = time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)

// book keeps replays in memory; dry runs are over at once and count 5.
type book struct {
	mu      sync.Mutex
	rows    []ledger.ReplayRow
	tenants []string
	audited []ledger.AuditRecord
	chain   error
	blind   bool // a dry run does not show yet what was started from it
}

func (b *book) CreateReplay(_ context.Context, in ledger.NewReplay) (int64, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.rows {
		r := &b.rows[i]
		if in.StartedFrom != 0 && r.StartedFrom != nil && *r.StartedFrom == in.StartedFrom || in.Key != "" && r.Key == in.Key && r.Actor == in.Actor {
			return r.ID, false, nil
		}
	}
	row := ledger.ReplayRow{
		ID: int64(len(b.rows) + 1), Action: in.Action, From: ledger.ReplayFrom(in.From), Filter: in.Filter, DryRun: in.DryRun,
		NewEffect: in.NewEffect, Note: in.Note, Actor: in.Actor, Via: in.Via, Rate: in.Rate, AtOnce: in.AtOnce,
		Key: in.Key, State: contract.ReplayRunning, CreatedAt: at, Total: -1,
	}
	if in.DryRun {
		row.State, row.Preview = contract.ReplayDone, &ledger.ReplayPreview{Total: 5}
	}
	if in.StartedFrom != 0 {
		row.StartedFrom = &in.StartedFrom
		if !b.blind {
			b.rows[in.StartedFrom-1].StartedAs = &row.ID
		}
	}
	b.rows = append(b.rows, row)
	return row.ID, true, nil
}

func (b *book) Replay(_ context.Context, id int64) (*ledger.ReplayRow, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id < 1 || id > int64(len(b.rows)) {
		return nil, fault.New(fault.NotFound, "there is no such replay")
	}
	row := b.rows[id-1]
	return &row, nil
}

func (b *book) Replays(_ context.Context, f ledger.ReplayFilter) ([]ledger.ReplayRow, string, error) {
	b.tenants = f.Tenants
	return b.rows, "", nil
}

func (b *book) ReplayOutcomes(context.Context, int64) (*ledger.ReplayOutcomes, error) {
	return &ledger.ReplayOutcomes{Emails: 5}, nil
}

func (b *book) ReplayItems(context.Context, ledger.ReplayItemFilter) ([]ledger.ReplayItem, string, error) {
	return nil, "", nil
}

func (b *book) AppendAudit(_ context.Context, r ledger.AuditRecord) (int64, error) {
	b.audited = append(b.audited, r)
	return 1, b.chain
}

type runner struct {
	mu      sync.Mutex
	started map[int64]bool // whether it is a dry run
	err     error
}

func (r *runner) StartReplay(_ context.Context, id int64, dryRun bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started[id] = dryRun
	return r.err
}

func (r *runner) ControlReplay(context.Context, int64, string, *contract.ReplayRate) (contract.ReplayProgress, error) {
	return contract.ReplayProgress{}, r.err
}

func setup(t *testing.T) (*book, *runner, *batch.Service, *time.Time) {
	t.Helper()
	b, r, now := &book{}, &runner{started: map[int64]bool{}}, at
	d, err := batch.New(batch.Deps{Ledger: b, Runner: r, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	require.NoError(t, err)
	return b, r, d, &now
}

func who(role access.Role, tenants ...string) access.Identity {
	id := access.Identity{Name: "olga", Roles: map[string]access.Role{}}
	for _, t := range tenants {
		id.Roles[t] = role
	}
	return id
}

func count() batch.Request {
	rate := 7.0
	return batch.Request{
		Action: contract.Approve, Filter: batch.Filter{Reason: contract.ManualHold, Query: "invoice"}, Rate: &rate, Note: "looked at them", DryRun: true,
	}
}

func TestStartDoesWhatTheDryRunCounted(t *testing.T) {
	t.Parallel()
	b, r, d, _ := setup(t)
	olga := who(access.Operator, "a", "b")
	dry, err := d.Create(t.Context(), olga, contract.ViaConsole, count())
	require.NoError(t, err)
	require.Equal(t, int64(5), dry.Preview.Total)
	require.Equal(t, []string{"a", "b"}, dry.Filter.Tenants)

	for _, wrong := range []int64{0, 4, 6, -1} {
		_, err = d.Start(t.Context(), olga, contract.ViaConsole, dry.ID, wrong)
		require.True(t, fault.Is(err, fault.DecisionRefused), "%v", err)
	}
	require.Len(t, b.rows, 1, "nothing was started")

	row, err := d.Start(t.Context(), olga, contract.ViaConsole, dry.ID, 5)
	require.NoError(t, err)
	want := *dry
	want.ID, want.DryRun, want.Preview, want.State = 2, false, nil, contract.ReplayRunning
	want.StartedFrom = &dry.ID
	want.Filter.Until = at // what comes later was not counted
	require.Equal(t, want, *row)
	require.Equal(t, map[int64]bool{1: true, 2: false}, r.started)

	_, err = d.Start(t.Context(), olga, contract.ViaConsole, row.ID, 5)
	require.True(t, fault.Is(err, fault.DecisionRefused), "only a dry run is started: %v", err)
}

// TestStartedOnce: two who start the same dry run at once, and who comes later, are
// all given the one replay.
func TestStartedOnce(t *testing.T) {
	t.Parallel()
	for _, blind := range []bool{true, false} {
		b, r, d, now := setup(t)
		b.blind = blind // as for a request that has read the dry run before the other wrote
		olga, otto := who(access.Operator, access.Everywhere), who(access.Admin, access.Everywhere)
		otto.Name = "otto"
		dry, err := d.Create(t.Context(), olga, contract.ViaConsole, count())
		require.NoError(t, err)
		var g errgroup.Group
		ids := make([]int64, 2)
		for i, by := range []access.Identity{olga, otto} {
			g.Go(func() error {
				row, err := d.Start(t.Context(), by, contract.ViaConsole, dry.ID, 5)
				if err == nil {
					ids[i] = row.ID
				}
				return err
			})
		}
		require.NoError(t, g.Wait())
		require.Equal(t, []int64{2, 2}, ids)
		require.Len(t, b.rows, 2)
		require.Equal(t, map[int64]bool{1: true, 2: false}, r.started)

		// Its end is not the beginning of another one.
		b.rows[1].State = contract.ReplayDone
		clear(r.started)
		row, err := d.Start(t.Context(), olga, contract.ViaAPI, dry.ID, 5)
		require.NoError(t, err)
		require.Equal(t, int64(2), row.ID)
		require.Empty(t, r.started)
		if !blind {
			*now = at.Add(time.Hour)
			row, err = d.Start(t.Context(), olga, contract.ViaAPI, dry.ID, 5)
			require.NoError(t, err, "what was started can be found for ever")
			require.Equal(t, int64(2), row.ID)
		}
		_, err = d.Start(t.Context(), olga, contract.ViaAPI, dry.ID, 4)
		require.True(t, fault.Is(err, fault.DecisionRefused), "%v", err)
	}
}

func TestAKeyBeginsOneReplay(t *testing.T) {
	t.Parallel()
	b, _, d, _ := setup(t)
	olga, in := who(access.Operator, "a", "b"), count()
	in.DryRun, in.Key = false, "k1"
	in.Filter.Since = at.Add(-time.Hour)
	first, err := d.Create(t.Context(), olga, contract.ViaAPI, in)
	require.NoError(t, err)
	in.Filter.Since = in.Filter.Since.In(time.FixedZone("", 3600))
	again, err := d.Create(t.Context(), olga, contract.ViaAPI, in)
	require.NoError(t, err)
	require.Equal(t, first, again)

	for name, change := range map[string]func(*batch.Request){
		"note":   func(r *batch.Request) { r.Note = "another" },
		"action": func(r *batch.Request) { r.Action = contract.Discard },
		"filter": func(r *batch.Request) { r.Filter.Query = "other" },
		"tenant": func(r *batch.Request) { r.Filter.Tenant = "a" },
		"time":   func(r *batch.Request) { r.Filter.Since = at },
		"dry":    func(r *batch.Request) { r.DryRun = true },
	} {
		other := in
		change(&other)
		_, err := d.Create(t.Context(), olga, contract.ViaAPI, other)
		require.True(t, fault.Is(err, fault.DecisionRefused), "%s: %v", name, err)
	}
	require.Len(t, b.rows, 1)
	for _, bad := range []string{strings.Repeat("k", 201), "a\n", "\xff"} {
		in.Key = bad
		_, err := d.Create(t.Context(), olga, contract.ViaAPI, in)
		require.True(t, fault.Is(err, fault.RequestInvalid), "%v", err)
	}
}

func TestStartKeepsAnEarlierEnd(t *testing.T) {
	t.Parallel()
	_, _, d, _ := setup(t)
	in := count()
	in.Filter.Until = at.Add(-time.Hour)
	olga := who(access.Operator, access.Everywhere)
	dry, err := d.Create(t.Context(), olga, contract.ViaConsole, in)
	require.NoError(t, err)
	row, err := d.Start(t.Context(), olga, contract.ViaConsole, dry.ID, 5)
	require.NoError(t, err)
	require.Equal(t, at.Add(-time.Hour), row.Filter.Until)
}

func TestStartRefusesWhatTellsNothing(t *testing.T) {
	t.Parallel()
	b, _, d, now := setup(t)
	olga := who(access.Operator, access.Everywhere)
	dry, err := d.Create(t.Context(), olga, contract.ViaConsole, count())
	require.NoError(t, err)
	*now = at.Add(31 * time.Minute)
	_, err = d.Start(t.Context(), olga, contract.ViaConsole, dry.ID, 5)
	require.ErrorContains(t, err, "too old")
	*now = at
	b.rows[0].Preview = nil
	_, err = d.Start(t.Context(), olga, contract.ViaConsole, dry.ID, 5)
	require.ErrorContains(t, err, "has not counted")
	b.rows[0].Preview = &ledger.ReplayPreview{}
	_, err = d.Start(t.Context(), olga, contract.ViaConsole, dry.ID, 0)
	require.ErrorContains(t, err, "nothing to start")
	require.Len(t, b.rows, 1)
}

func TestWhoMayStart(t *testing.T) {
	t.Parallel()
	b, _, d, _ := setup(t)
	dry, err := d.Create(t.Context(), who(access.Operator, "a", "b"), contract.ViaConsole, count())
	require.NoError(t, err)
	for name, other := range map[string]struct {
		who  access.Identity
		code fault.Code
	}{
		"one of the two":   {who(access.Operator, "a"), fault.NotFound},
		"a viewer of both": {who(access.Viewer, "a", "b"), fault.Forbidden},
		"another tenant":   {who(access.Admin, "c"), fault.NotFound},
		"nobody":           {access.Identity{}, fault.NotFound},
	} {
		_, err := d.Start(t.Context(), other.who, contract.ViaConsole, dry.ID, 5)
		require.True(t, fault.Is(err, other.code), "%s: %v", name, err)
	}
	in := count()
	in.Filter.Tenant = "c"
	_, err = d.Create(t.Context(), who(access.Operator, "a"), contract.ViaConsole, in)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	require.Len(t, b.rows, 1)
}

// TestCreateWhileTemporalIsUnavailable: what is written down begins later.
func TestCreateWhileTemporalIsUnavailable(t *testing.T) {
	t.Parallel()
	b, r, d, _ := setup(t)
	r.err = fault.New(fault.TemporalUnavailable, "away")
	_, err := d.Create(t.Context(), who(access.Operator, access.Everywhere), contract.ViaConsole, count())
	require.NoError(t, err)
	require.Len(t, b.rows, 1)
}

func TestControlHoldsWithoutTheChain(t *testing.T) {
	t.Parallel()
	b, _, d, _ := setup(t)
	olga := who(access.Operator, access.Everywhere)
	row, err := d.Create(t.Context(), olga, contract.ViaConsole, count())
	require.NoError(t, err)
	b.chain = errors.New("the chain is unavailable")
	_, err = d.Control(t.Context(), olga, contract.ViaConsole, row, contract.ReplayPause, nil)
	require.NoError(t, err, "it is paused")
	require.Equal(t, string(contract.ViaConsole), b.audited[0].Via)
	_, err = d.Control(t.Context(), olga, contract.ViaConsole, row, contract.ReplaySetRate, &contract.ReplayRate{Rate: -1})
	require.True(t, fault.Is(err, fault.RequestInvalid), "%v", err)
	require.Len(t, b.audited, 1)
}

// TestDecisionsAboutMailThatWaits: each action is for the states in which there is something
// to decide, and without a state for the one that it is mostly used for.
func TestDecisionsAboutMailThatWaits(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		action contract.Action
		from   string
		state  contract.State
		want   contract.State
		says   string
	}{
		{contract.Retry, "", contract.Retrying, contract.Retrying, ""},
		{contract.Retry, "", "", contract.Quarantined, ""},
		{contract.Discard, "", contract.Retrying, contract.Retrying, ""},
		{contract.Held, "", "", contract.Retrying, ""},
		{ledger.ActionReplay, "held", contract.Retrying, contract.Retrying, ""},
		{ledger.ActionReplay, "route", "", "", ""},
		{ledger.ActionReplay, "route", contract.Retrying, contract.Retrying, ""},
		{contract.Held, "", contract.Quarantined, "", "hold goes with emails in the state retrying alone"},
		{contract.Approve, "", contract.Retrying, "", "approve goes with emails in the state held alone"},
		{contract.Retry, "", contract.Delivered, "", "retry goes with emails in the state held or retrying alone"},
	} {
		_, _, d, _ := setup(t)
		in := batch.Request{
			Action: row.action, From: row.from, Filter: batch.Filter{State: row.state, Destination: "crm", Reason: contract.DownstreamUnavailable},
			Note: "it will not come back", DryRun: true,
		}
		got, err := d.Create(t.Context(), who(access.Operator, "a"), contract.ViaConsole, in)
		if row.says != "" {
			require.True(t, fault.Is(err, fault.RequestInvalid), "%v", row)
			require.Equal(t, row.says, fault.From(err).Public)
			continue
		}
		require.NoError(t, err, "%v", row)
		require.Equal(t, row.want, got.Filter.State, "%v", row)
	}
}

// A bulk approval of malware asked as if it were any other.
func TestBulkApprovalsRepeatTheWarning(t *testing.T) {
	t.Parallel()
	_, _, d, _ := setup(t)
	olga := who(access.Operator, access.Everywhere)
	for _, tc := range []struct {
		action contract.Action
		reason contract.Reason
		warned bool
	}{
		{contract.Approve, contract.Infected, true}, {contract.Approve, contract.Unscannable, true},
		{contract.Approve, contract.ManualHold, false}, {contract.Retry, contract.Infected, false}, {contract.Discard, contract.Infected, false},
	} {
		in := count()
		in.Action, in.Filter.Reason = tc.action, tc.reason
		dry, err := d.Create(t.Context(), olga, contract.ViaAPI, in)
		require.NoError(t, err)
		found, err := d.Find(t.Context(), olga, access.Operator, dry.ID)
		require.NoError(t, err)
		for _, row := range []*ledger.ReplayRow{dry, found} {
			require.Equal(t, tc.warned, row.Warning != "", "%s %s", tc.action, tc.reason)
		}
	}
}

func TestOutcomesOfADryRunAreNone(t *testing.T) {
	t.Parallel()
	_, _, d, _ := setup(t)
	for dryRun, want := range map[bool]bool{true: false, false: true} {
		row := ledger.ReplayRow{ID: 1, DryRun: dryRun}
		require.NoError(t, d.Outcomes(t.Context(), &row))
		require.Equal(t, want, row.Outcomes != nil)
	}
}

func TestSelectedEmailsAreChecked(t *testing.T) {
	t.Parallel()
	_, _, d, _ := setup(t)
	olga := who(access.Operator, access.Everywhere)
	for name, tc := range map[string]struct {
		action contract.Action
		reason contract.Reason
		list   []ledger.Chosen
		says   string
	}{
		"fine":             {contract.Retry, "", []ledger.Chosen{{Number: 1, Version: 2}, {Number: 2}}, ""},
		"twice":            {contract.Retry, "", []ledger.Chosen{{Number: 1}, {Number: 1, Version: 2}}, "each once"},
		"no number":        {contract.Retry, "", []ledger.Chosen{{Version: 2}}, "numbers of emails"},
		"too many":         {contract.Retry, "", numbered(ledger.MaxLimit + 1), "at most 200 emails"},
		"several reasons":  {contract.Approve, "", numbered(2), "select those of one reason"},
		"approve of one":   {contract.Approve, contract.ManualHold, numbered(2), ""},
		"as many as there": {contract.Discard, "", numbered(ledger.MaxLimit), ""},
	} {
		in := count()
		in.Action, in.Filter = tc.action, batch.Filter{Reason: tc.reason, Emails: tc.list}
		row, err := d.Create(t.Context(), olga, contract.ViaConsole, in)
		if tc.says != "" {
			require.True(t, fault.Is(err, fault.RequestInvalid), name)
			require.ErrorContains(t, err, tc.says, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, tc.list, row.Filter.Emails, name)
	}
}

func numbered(n int) []ledger.Chosen {
	out := make([]ledger.Chosen, n)
	for i := range out {
		out[i].Number = int64(i + 1)
	}
	return out
}
