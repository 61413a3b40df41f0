package batch_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
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

// TestBatchInTheLedger counts, starts and controls a replay that the real ledger keeps.
func TestBatchInTheLedger(t *testing.T) {
	t.Parallel()
	db, ctx, run := pgtest.New(t), t.Context(), &idle{}
	service, err := batch.New(batch.Deps{Ledger: db, Runner: run, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	olga, rate := who(access.Operator, access.Everywhere), 20.0
	chosen := ledger.Filter{
		Source: "s", Tenant: "t", Sender: "a", Recipient: "b", Destination: "d", Query: "q", Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
	}

	dry, err := service.Create(ctx, olga, contract.ViaConsole, batch.Request{
		Filter: batch.FilterOf(chosen), Action: ledger.ActionReplay, From: "store", Rate: &rate, Note: "why", NewEffect: true, DryRun: true,
	})
	require.NoError(t, err)
	dry, err = service.Find(ctx, olga, access.Operator, dry.ID)
	require.NoError(t, err)
	require.True(t, dry.DryRun)
	require.Nil(t, dry.Preview, "nothing is counted yet")
	require.Equal(t, "raw", dry.From)
	require.InDelta(t, 20, dry.Rate, 0)
	_, err = service.Start(ctx, olga, contract.ViaConsole, dry.ID, 0)
	require.True(t, fault.Is(err, fault.DecisionRefused), "%v", err)

	preview := &ledger.ReplayPreview{
		Total: 2, Would: map[ledger.ReplayCode]int64{ledger.ItemStarted: 1, ledger.ItemContentRemoved: 1}, Evaluated: 1, Changed: 1,
		Sample: []ledger.ReplaySample{{EventID: "e", Source: "s", Would: ledger.ItemStarted, Changes: []ledger.Change{{Field: "to", After: "crm"}}}},
	}
	require.NoError(t, db.SaveReplayPreview(ctx, dry.ID, preview))
	dry, err = service.Find(ctx, olga, access.Operator, dry.ID)
	require.NoError(t, err)
	require.Equal(t, preview, dry.Preview)

	started, err := service.Start(ctx, olga, contract.ViaConsole, dry.ID, 2)
	require.NoError(t, err)
	require.Equal(t, contract.ViaConsole, started.Via)
	require.Equal(t, "olga", started.Actor)
	require.True(t, started.NewEffect)
	require.False(t, started.Filter.Until.IsZero())
	chosen.Until = started.Filter.Until
	require.Equal(t, chosen, started.Filter)

	list, _, err := service.List(ctx, olga, access.Operator, ledger.ReplayFilter{Limit: 50})
	require.NoError(t, err)
	require.Len(t, list, 1)
	items, _, err := service.Items(ctx, ledger.ReplayItemFilter{ReplayID: started.ID})
	require.NoError(t, err)
	require.Empty(t, items)
	_, err = service.Control(ctx, olga, contract.ViaConsole, started, contract.ReplayPause, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"pause"}, run.controls)

	stranger := who(access.Admin, "other")
	_, err = service.Find(ctx, stranger, access.Operator, started.ID)
	require.True(t, fault.Is(err, fault.NotFound))
	list, _, err = service.List(ctx, stranger, access.Operator, ledger.ReplayFilter{Limit: 50})
	require.NoError(t, err)
	require.Empty(t, list)
}
