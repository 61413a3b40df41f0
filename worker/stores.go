package worker

import "mailroom/shared/postgres"

// stores are the parts of the ledger that activities read and write.
type stores struct {
	*postgres.Backfill
	*postgres.Emails
	*postgres.Decisions
	*postgres.Deliveries
	*postgres.Batches
	*postgres.BatchWork
	*postgres.Maintenance
	*postgres.Removal
}

func newStores(db *postgres.DB) stores {
	return stores{
		Backfill: postgres.NewBackfill(db), Emails: postgres.NewEmails(db), Decisions: postgres.NewDecisions(db),
		Deliveries: postgres.NewDeliveries(db), Batches: postgres.NewBatches(db), BatchWork: postgres.NewBatchWork(db),
		Maintenance: postgres.NewMaintenance(db), Removal: postgres.NewRemoval(db),
	}
}
