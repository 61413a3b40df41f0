package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/console"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/auditchain"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

// idle starts nothing: what is asked for stays written down.
type idle struct{ controls []string }

func (*idle) StartReplay(context.Context, int64, bool) error {
	return fault.New(fault.TemporalUnavailable, "away")
}

func (i *idle) ControlReplay(_ context.Context, _ int64, name string, _ *contract.ReplayRate) (contract.ReplayProgress, error) {
	i.controls = append(i.controls, name)
	return contract.ReplayProgress{}, nil
}

var operatorOfAll = access.Identity{Name: "olga", Roles: map[string]access.Role{access.Everywhere: access.Operator}}

func TestReplaysOfTheConsole(t *testing.T) {
	t.Parallel()
	db, ctx, run := pgtest.New(t), t.Context(), &idle{}
	desk, err := batch.New(batch.Deps{Ledger: db, Runner: run, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	many := manyEmails{desk}
	since := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

	id, err := many.Plan(ctx, operatorOfAll, console.ReplayRequest{
		Filter: ledger.Filter{Source: "s", Tenant: "t", Sender: "a", Recipient: "b", Destination: "d", Query: "q", Since: since},
		Action: "replay", From: "store", Rate: 20, Note: "why", NewEffect: true,
	})
	require.NoError(t, err)
	dry, err := many.Find(ctx, operatorOfAll, id)
	require.NoError(t, err)
	require.True(t, dry.DryRun)
	require.Nil(t, dry.Plan, "nothing is counted yet")
	require.Equal(t, "raw", dry.From)
	require.InDelta(t, 20, dry.Rate, 0)
	_, err = many.Start(ctx, operatorOfAll, id, 0)
	require.True(t, fault.Is(err, fault.DecisionRefused), "%v", err)

	require.NoError(t, db.SaveReplayPreview(ctx, id, &ledger.ReplayPreview{
		Total: 2, Would: map[ledger.ReplayCode]int64{ledger.ItemStarted: 1, ledger.ItemContentRemoved: 1}, Evaluated: 1, Changed: 1,
		Sample: []ledger.ReplaySample{{EventID: "e", Source: "s", Would: ledger.ItemStarted, Changes: []ledger.Change{{Field: "to", After: "crm"}}}},
	}))
	dry, err = many.Find(ctx, operatorOfAll, id)
	require.NoError(t, err)
	require.Equal(t, &console.Plan{
		Count: 2, Evaluated: 1, Changed: 1, Would: []console.Would{{What: "content_removed", Count: 1}, {What: "started", Count: 1}},
		Sample: []console.PlanItem{{EventID: "e", Source: "s", Effect: "started\nto: nothing → crm"}},
	}, dry.Plan)
	started, err := many.Start(ctx, operatorOfAll, id, 2)
	require.NoError(t, err)
	row, err := db.Replay(ctx, started)
	require.NoError(t, err)
	require.Equal(t, contract.ViaConsole, row.Via)
	require.Equal(t, "olga", row.Actor)
	require.True(t, row.NewEffect)
	require.False(t, row.Filter.Until.IsZero())
	want := ledger.Filter{Source: "s", Tenant: "t", Sender: "a", Recipient: "b", Destination: "d", Query: "q", Since: since, Until: row.Filter.Until}
	require.Equal(t, want, row.Filter)

	list, err := many.List(ctx, operatorOfAll)
	require.NoError(t, err)
	require.Len(t, list, 2)
	items, err := many.Items(ctx, started)
	require.NoError(t, err)
	require.Empty(t, items)
	require.NoError(t, many.Steer(ctx, operatorOfAll, started, "pause"))
	require.Equal(t, []string{"pause"}, run.controls)
	stranger := access.Identity{Name: "x", Roles: map[string]access.Role{"other": access.Admin}}
	require.True(t, fault.Is(many.Steer(ctx, stranger, started, "stop"), fault.NotFound))
	list, err = many.List(ctx, stranger)
	require.NoError(t, err)
	require.Empty(t, list)
}

// TestDestinationsShowNoPath: viewers see the page, and a path may hold a secret.
func TestDestinationsShowNoPath(t *testing.T) {
	t.Parallel()
	whole, err := operations.New(operations.Config{
		Destinations: []config.Destination{{Name: "crm", URL: "https://u:p@crm.example:8443/hooks/secret?k=v"}},
	}, operations.Deps{Ledger: pgtest.New(t)})
	require.NoError(t, err)
	list, err := destinations{whole}.List(access.With(t.Context(), operatorOfAll))
	require.NoError(t, err)
	require.Equal(t, []console.Destination{{Name: "crm", URL: "crm.example:8443", MayPause: true}}, list)
}

func TestAuditOfTheConsole(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	chain := auditChain{db}
	list, err := chain.Entries(ctx, 0)
	require.NoError(t, err)
	require.Empty(t, list)
	for i := range shownEntries + 5 {
		body, err := json.Marshal(map[string]any{"replay": i + 1, "action": "retry", "note": fmt.Sprint("because ", i)})
		require.NoError(t, err)
		_, err = db.AppendAudit(ctx, ledger.AuditRecord{Kind: ledger.AuditReplay, Tenant: "default", Actor: "olga", Via: "api", Body: body})
		require.NoError(t, err)
	}
	list, err = chain.Entries(ctx, 0)
	require.NoError(t, err)
	require.Len(t, list, shownEntries)
	require.EqualValues(t, shownEntries+5, list[0].Number)
	require.Equal(t, "retry number 55: because 54", list[0].Text)
	require.Len(t, list[0].Hash, 64)
	list, err = chain.Entries(ctx, list[shownEntries-1].Number)
	require.NoError(t, err)
	require.Len(t, list, 5)
	require.EqualValues(t, 5, list[0].Number)
	list, err = chain.Entries(ctx, 1)
	require.NoError(t, err)
	require.Empty(t, list, "there is nothing before the first")
	checked, broken, err := chain.Verify(ctx)
	require.NoError(t, err)
	require.EqualValues(t, shownEntries+5, checked)
	require.Zero(t, broken)
}

// forged is a chain that somebody has changed.
type forged struct {
	*pgtest.DB
	change func([]auditchain.Entry) []auditchain.Entry
}

func (f forged) Audit(ctx context.Context, after int64, limit int) ([]auditchain.Entry, error) {
	list, err := f.AuditChain.Audit(ctx, after, limit)
	return f.change(list), err
}

func TestVerifyFindsTheBreak(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	for range 3 {
		_, err := db.AppendAudit(ctx, ledger.AuditRecord{Kind: ledger.AuditReplay, Actor: "olga"})
		require.NoError(t, err)
	}
	for at, change := range map[int64]func([]auditchain.Entry) []auditchain.Entry{
		2: func(l []auditchain.Entry) []auditchain.Entry {
			for i := range l {
				if l[i].Seq == 2 {
					l[i].Actor = "nobody"
				}
			}
			return l
		},
		1: func(l []auditchain.Entry) []auditchain.Entry { return l[min(1, len(l)):] },
		3: func(l []auditchain.Entry) []auditchain.Entry { return l[:min(2, max(0, len(l)-1))] },
	} {
		_, broken, err := auditChain{forged{db, change}}.Verify(ctx)
		require.NoError(t, err)
		require.Equal(t, at, broken)
	}
}

func TestRulesOfTheConsole(t *testing.T) {
	t.Parallel()
	whole, err := operations.New(operations.Config{
		Destinations: []config.Destination{{Name: "crm", Tenants: []string{"default"}}},
		Tenants:      []config.Tenant{{Name: "default"}},
		Routes: []config.Route{{
			Name: "cases", When: config.When{Recipient: "support@*", Header: map[string]string{"X-Case": "*"}}, To: []string{"crm"}, Hold: true,
		}},
	}, operations.Deps{Ledger: pgtest.New(t)})
	require.NoError(t, err)
	ctx := access.With(t.Context(), operatorOfAll)
	list, err := routing{whole}.List(ctx)
	require.NoError(t, err)
	require.Equal(t, []console.Rule{{Name: "cases", When: []string{"recipient: support@*", "header X-Case: *"}, To: []string{"crm"}, Hold: true}}, list)
	out, err := routing{whole}.Test(ctx, console.Sample{Recipients: []string{"support@a.example"}, Headers: map[string]string{"X-Case": "1"}})
	require.NoError(t, err)
	require.Equal(t, []string{"cases"}, out.Matched)
	require.Equal(t, contract.ManualHold, out.Held[0].Reason)
	require.True(t, out.Steps[0].Matched)
	out, err = routing{whole}.Test(ctx, console.Sample{Recipients: []string{"sales@a.example"}})
	require.NoError(t, err)
	require.Empty(t, out.Destinations)
	require.False(t, out.Steps[0].Matched)
}

// TestConsoleOfATenantShowsNothingOfOthers: neither rules nor destinations, and the
// tester takes no mail of another tenant.
func TestConsoleOfATenantShowsNothingOfOthers(t *testing.T) {
	t.Parallel()
	whole, err := operations.New(operations.Config{
		Destinations: []config.Destination{{Name: "crm", Tenants: []string{"default"}}, {Name: "theirs", Tenants: []string{"acme"}}},
		Tenants:      []config.Tenant{{Name: "default"}, {Name: "acme"}},
		Routes: []config.Route{
			{Name: "cases", When: config.When{Tenant: "default"}, To: []string{"crm"}},
			{Name: "board", When: config.When{Tenant: "acme"}, To: []string{"theirs"}},
		},
	}, operations.Deps{Ledger: pgtest.New(t)})
	require.NoError(t, err)
	ctx := access.With(t.Context(), access.Identity{Name: "olga", Roles: map[string]access.Role{"acme": access.Operator}})
	rules, err := routing{whole}.List(ctx)
	require.NoError(t, err)
	require.Equal(t, []console.Rule{{Name: "board", When: []string{"tenant: acme"}, To: []string{"theirs"}}}, rules)
	list, err := destinations{whole}.List(ctx)
	require.NoError(t, err)
	require.Equal(t, []console.Destination{{Name: "theirs", MayPause: true}}, list)
	out, err := routing{whole}.Test(ctx, console.Sample{Recipients: []string{"a@b.example"}})
	require.NoError(t, err)
	require.Equal(t, []string{"theirs"}, out.Destinations)
	_, err = routing{whole}.Test(ctx, console.Sample{Recipients: []string{"a@b.example"}, Tenant: "default"})
	require.True(t, fault.Is(err, fault.Forbidden), "%v", err)
}
