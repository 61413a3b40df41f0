package worker

import (
	"context"

	"go.temporal.io/sdk/client"

	"mailroom/activities"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/program"
	"mailroom/shared/temporal"
)

// wireBatches wires the activities that reach the workflows of many emails: batches and
// maintenance.
func (a *activitySet) wireBatches(p *program.Program, db stores, o objects, scan scanner, tc client.Client) (err error) {
	memos := temporal.Converter(p.Keys)
	emails, replays := newExecutions(tc, memos), temporal.NewReplays(tc, memos)

	a.replays, err = activities.NewReplays(activities.ReplaysDeps{
		Rows: db, Controls: db, Claims: db, Decisions: db, Ends: a.recorder,
		Decider: emails, Starter: emails, Executions: emails,
	})
	if err != nil {
		return err
	}
	a.preview, err = activities.NewReplayPreview(activities.ReplayPreviewDeps{
		Rows: db, Ledger: db, Emails: db, Store: a.store, Messages: o, Rules: a.rules,
	})
	if err != nil {
		return err
	}

	a.starts, err = activities.NewReplayStarts(activities.ReplayStartsDeps{
		Ledger: db, Starter: replays, Claims: db, Ends: a.recorder, Decider: emails, Executions: emails,
	})
	if err != nil {
		return err
	}

	a.recovery, err = activities.NewRecovery(activities.RecoveryDeps{
		Outages: db, Recoveries: db, Emails: db, Decisions: db, Decider: emails, Executions: emails, Starter: replays,
		Ready: map[contract.Reason]func(context.Context) error{
			contract.ScannerUnavailable: scan.Ready,
			contract.StorageUnavailable: o.store.Ready,
		},
	})
	if err != nil {
		return err
	}
	a.purge, err = activities.NewPurge(purgeConfig(p.File), activities.PurgeDeps{Content: db, Removals: db, Objects: o})
	return err
}

// purgeConfig returns the policy for discarded mail.
func purgeConfig(file *config.File) activities.PurgeConfig {
	return activities.PurgeConfig{
		RemoveContent: file.Discard.Content == config.DiscardRemove, RemoveAfter: file.Discard.After,
	}
}
