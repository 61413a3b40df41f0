package worker

import (
	"context"
	"sync"

	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/postgres"
)

// Bounds of what is remembered.
const (
	recentManifests = 256
	recentMessage   = 64 << 10 // bytes of a message that is worth remembering
)

// recentLedger remembers the manifests that this process has just saved, for the
// steps that follow within milliseconds. It serves the steps alone for which a
// manifest never changes, Inspect and Route: what the store step finds in a body
// is always the same. Verdicts do change, so who needs them asks the database.
type recentLedger struct {
	*postgres.DB

	mu    sync.Mutex
	byID  map[int64]ledger.Manifest
	order []int64 // oldest first
}

func newRecentLedger(db *postgres.DB) *recentLedger {
	return &recentLedger{DB: db, byID: map[int64]ledger.Manifest{}}
}

// SaveManifest implements activities.StoreLedger.
func (r *recentLedger) SaveManifest(ctx context.Context, m ledger.Manifest) error {
	if err := r.DB.SaveManifest(ctx, m); err != nil {
		return err
	}
	if len(m.Message) > recentMessage {
		return nil
	}
	m.Attachments = append([]mail.Attachment(nil), m.Attachments...)
	for i := range m.Attachments {
		m.Attachments[i].Content = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.byID[m.EmailID]; !known {
		r.order = append(r.order, m.EmailID)
	}
	r.byID[m.EmailID] = m
	if len(r.order) > recentManifests {
		delete(r.byID, r.order[0])
		r.order = r.order[1:]
	}
	return nil
}

// Manifest implements activities.VerdictLedger and activities.RouteLedger.
func (r *recentLedger) Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error) {
	r.mu.Lock()
	m, known := r.byID[emailID]
	r.mu.Unlock()
	if !known {
		return r.DB.Manifest(ctx, emailID)
	}
	m.Attachments = append([]mail.Attachment(nil), m.Attachments...)
	return &m, nil
}
