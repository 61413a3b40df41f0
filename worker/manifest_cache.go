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

// The bounds of the cache.
const (
	cachedManifests = 256
	cachedMessage   = 64 << 10 // bytes of the largest message that is cached
	// cachedFor is shorter than it takes an operator to read a held email and edit it: a
	// manifest that another worker has changed must not be hidden.
	cachedFor = 2 * time.Second
)

// manifestCache holds the manifests that this process has just saved, for the steps that
// follow within milliseconds. Only Inspect and Route read it: for them only an edit changes
// a manifest, since the store step always finds the same in a body. An edited email is
// not cached. Verdicts do change, so the steps that need them ask the database.
type manifestCache struct {
	*postgres.Emails
	*postgres.Decisions
	now func() time.Time

	mu    sync.Mutex
	byID  map[int64]cachedManifest
	order []int64 // oldest first
}

type cachedManifest struct {
	manifest ledger.Manifest
	until    time.Time
}

func newManifestCache(db stores) *manifestCache {
	return &manifestCache{Emails: db.Emails, Decisions: db.Decisions, now: time.Now, byID: map[int64]cachedManifest{}}
}

// SaveManifest implements activities.StoreLedger.
func (c *manifestCache) SaveManifest(ctx context.Context, m ledger.Manifest) error {
	if err := c.Emails.SaveManifest(ctx, m); err != nil {
		return err
	}
	if len(m.Message) > cachedMessage || m.Overlay != nil {
		c.forget(m.EmailID)
		return nil
	}

	m.Attachments = append([]mail.Attachment(nil), m.Attachments...)
	for i := range m.Attachments {
		m.Attachments[i].Content = nil
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.byID[m.EmailID]; !known {
		c.order = append(c.order, m.EmailID)
	}
	c.byID[m.EmailID] = cachedManifest{manifest: m, until: c.now().Add(cachedFor)}
	if len(c.order) > cachedManifests {
		delete(c.byID, c.order[0])
		c.order = c.order[1:]
	}
	return nil
}

// Manifest implements activities.VerdictLedger and activities.RouteLedger.
func (c *manifestCache) Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error) {
	c.mu.Lock()
	found, known := c.byID[emailID]
	c.mu.Unlock()
	if !known || !c.now().Before(found.until) {
		return c.Emails.Manifest(ctx, emailID)
	}
	m := found.manifest
	m.Attachments = append([]mail.Attachment(nil), m.Attachments...)
	return &m, nil
}

// SaveLeftOut implements activities.RouteLedger.
func (c *manifestCache) SaveLeftOut(ctx context.Context, emailID int64, foreign, unmatched []string) error {
	c.forget(emailID) // also when it fails
	return c.Emails.SaveLeftOut(ctx, emailID, foreign, unmatched)
}

// ApplyEdit implements activities.EditKeeper.
func (c *manifestCache) ApplyEdit(ctx context.Context, in contract.ApplyEditInput) error {
	c.forget(in.Email.ID) // also when it fails
	return c.Decisions.ApplyEdit(ctx, in)
}

// forget expires the email's manifest.
func (c *manifestCache) forget(emailID int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cached, known := c.byID[emailID]; known {
		cached.until = time.Time{}
		c.byID[emailID] = cached
	}
}
