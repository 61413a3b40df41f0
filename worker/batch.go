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

// many wires what reaches the workflows of many emails.
func (p *parts) many(of *program.Program, db stores, o objects, scan scanner, tc client.Client) (err error) {
	memos := temporal.Converter(of.Keys)
	reach := newCourses(tc, memos)
	p.replays, err = activities.NewReplays(activities.ReplaysDeps{
		Ledger: db, Preview: db, Ends: p.recorder, Courses: reach, Store: p.store, Message: o, Rules: p.rules,
	})
	if err != nil {
		return err
	}
	p.tending, err = activities.NewTending(tendConfig(of.File), activities.TendDeps{
		Ledger: db, Purge: db, Ends: p.recorder, Objects: o, Courses: reach, Replays: temporal.NewReplays(tc, memos),
		Ready: map[contract.Reason]func(context.Context) error{
			contract.ScannerUnavailable: scan.Ready,
			contract.StorageUnavailable: o.store.Ready,
		},
	})
	return err
}

// tendConfig is the policy about discarded mail.
func tendConfig(file *config.File) activities.TendConfig {
	return activities.TendConfig{
		RemoveContent: file.Discard.Content == config.DiscardRemove, RemoveAfter: file.Discard.After,
	}
}
