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
	workflows := newExecutions(tc, memos)

	a.replays, err = activities.NewReplays(activities.ReplaysDeps{
		Ledger: db, Preview: db, Ends: a.recorder, Courses: workflows, Store: a.store, Message: o, Rules: a.rules,
	})
	if err != nil {
		return err
	}

	a.maintenance, err = activities.NewTending(maintenanceConfig(p.File), activities.TendDeps{
		Ledger: db, Purge: db, Ends: a.recorder, Objects: o, Courses: workflows, Replays: temporal.NewReplays(tc, memos),
		Ready: map[contract.Reason]func(context.Context) error{
			contract.ScannerUnavailable: scan.Ready,
			contract.StorageUnavailable: o.store.Ready,
		},
	})
	return err
}

// maintenanceConfig returns the policy for discarded mail.
func maintenanceConfig(file *config.File) activities.TendConfig {
	return activities.TendConfig{
		RemoveContent: file.Discard.Content == config.DiscardRemove, RemoveAfter: file.Discard.After,
	}
}
