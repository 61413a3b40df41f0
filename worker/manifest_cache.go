package worker

import (
	"context"
	"sync"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/postgres"
)

// Bounds of what is remembered.
const (
	recentManifests = 256
	recentMessage   = 64 << 10 // bytes of a message that is worth remembering
	// recentFor is how long: an edit that another worker applies must not be hidden,
	// and nobody looks at a held email and decides in less.
	recentFor = 2 * time.Second
)

// recentLedger remembers the manifests that this process has just saved, for the
// steps that follow within milliseconds. It serves the steps alone for which a
// manifest changes by edits alone, Inspect and Route: what the store step finds in
// a body is always the same. An edited email is not remembered. Verdicts do change,
// so who needs them asks the database.
type recentLedger struct {
	*postgres.Emails
	*postgres.Decisions
	now func() time.Time

	mu    sync.Mutex
	byID  map[int64]remembered
	order []int64 // oldest first
}

type remembered struct {
	manifest ledger.Manifest
	until    time.Time
}

func newRecentLedger(db stores) *recentLedger {
	return &recentLedger{Emails: db.Emails, Decisions: db.Decisions, now: time.Now, byID: map[int64]remembered{}}
}

// SaveManifest implements activities.StoreLedger.
func (r *recentLedger) SaveManifest(ctx context.Context, m ledger.Manifest) error {
	if err := r.Emails.SaveManifest(ctx, m); err != nil {
		return err
	}
	if len(m.Message) > recentMessage || m.Overlay != nil {
		r.forget(m.EmailID)
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
	r.byID[m.EmailID] = remembered{manifest: m, until: r.now().Add(recentFor)}
	if len(r.order) > recentManifests {
		delete(r.byID, r.order[0])
		r.order = r.order[1:]
	}
	return nil
}

// Manifest implements activities.VerdictLedger and activities.RouteLedger.
func (r *recentLedger) Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error) {
	r.mu.Lock()
	found, known := r.byID[emailID]
	r.mu.Unlock()
	if !known || !r.now().Before(found.until) {
		return r.Emails.Manifest(ctx, emailID)
	}
	m := found.manifest
	m.Attachments = append([]mail.Attachment(nil), m.Attachments...)
	return &m, nil
}

// ApplyEdit implements activities.EditKeeper.
func (r *recentLedger) ApplyEdit(ctx context.Context, in contract.ApplyEditInput) error {
	r.forget(in.Email.ID) // whatever comes of it
	return r.Decisions.ApplyEdit(ctx, in)
}

// forget makes the email's manifest one of the past.
func (r *recentLedger) forget(emailID int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one, known := r.byID[emailID]; known {
		one.until = time.Time{}
		r.byID[emailID] = one
	}
}
