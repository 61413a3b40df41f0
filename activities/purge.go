package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// Bounds of one purge.
const (
	purgeEmails  = 500
	purgeObjects = 500
	// purgeBatch is how many objects are marked at a time: until they are removed, mail
	// that brings one of them anew waits.
	purgeBatch = 50
	// purgeBatchTimeout bounds the removal of a batch. The ledger leaves marked objects
	// to their purge for much longer.
	purgeBatchTimeout = time.Minute
	// removalsKept is how long the ledger remembers what was removed; no store step
	// lasts nearly as long.
	removalsKept = 7 * 24 * time.Hour
	// samplesKept is how long the sample of a dry run is kept.
	samplesKept = 24 * time.Hour
)

// ContentLedger removes content from rows of the ledger.
type ContentLedger interface {
	// RemoveContent takes the content from emails that were discarded before a time.
	RemoveContent(ctx context.Context, before time.Time, limit int) (int64, error)
	ForgetRemovals(ctx context.Context, age time.Duration) error
	ForgetSamples(ctx context.Context, age time.Duration) error
}

// RemovalLedger keeps objects that are being removed from being used.
type RemovalLedger interface {
	// BeginRemoval returns objects that no email has, marked so that none comes to have
	// one until EndRemoval, or CancelRemoval where the removal was not tried.
	BeginRemoval(ctx context.Context, limit int) ([]ledger.UnwantedObject, error)
	EndRemoval(ctx context.Context, o ledger.UnwantedObject) error
	CancelRemoval(ctx context.Context, list []ledger.UnwantedObject) error
}

// ObjectRemover removes objects; one that is not there is no error.
type ObjectRemover interface {
	Remove(ctx context.Context, o ledger.UnwantedObject) error
}

// PurgeConfig is the policy.
type PurgeConfig struct {
	// RemoveContent takes the content from discarded emails, RemoveAfter after the decision.
	RemoveContent bool
	RemoveAfter   time.Duration
}

// PurgeDeps is what Purge needs; all of it is required but Now.
type PurgeDeps struct {
	Content  ContentLedger
	Removals RemovalLedger
	Objects  ObjectRemover
	Now      func() time.Time // nil: time.Now
}

// Purge removes content that has to go.
type Purge struct {
	config PurgeConfig
	deps   PurgeDeps
}

// NewPurge checks that nothing is missing.
func NewPurge(c PurgeConfig, deps PurgeDeps) (*Purge, error) {
	if deps.Content == nil || deps.Removals == nil || deps.Objects == nil {
		return nil, errors.New("purge: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Purge{config: c, deps: deps}, nil
}

// Purge takes the content from emails that were discarded, as the policy has it, and
// removes objects that no email has any more. Every step is written down before it is
// done, so that a crash leaves nothing but work for the next purge. It is idempotent on what the
// ledger says of each object.
func (s *Purge) Purge(ctx context.Context, _ contract.MaintenanceInput) (out contract.MaintenanceResult, err error) {
	defer translateError(ctx, contract.Email{}, &err)
	defer startHeartbeat(ctx, 0)()

	if err := s.deps.Content.ForgetSamples(ctx, samplesKept); err != nil {
		return out, fmt.Errorf("forget samples: %w", err)
	}
	if err := s.deps.Content.ForgetRemovals(ctx, removalsKept); err != nil {
		return out, fmt.Errorf("forget removals: %w", err)
	}

	if s.config.RemoveContent {
		before := s.deps.Now().Add(-s.config.RemoveAfter)
		if out.Removed, err = s.deps.Content.RemoveContent(ctx, before, purgeEmails); err != nil {
			return out, fmt.Errorf("remove content: %w", err)
		}
	}

	for out.Objects < purgeObjects {
		removed, err := s.removeBatch(ctx)
		out.Objects += removed
		if err != nil || removed == 0 {
			return out, err
		}
	}
	return out, nil
}

// removeBatch removes some objects that no email has, and returns how many.
// After an error the mark stays on the object that it is about, which may be removed or
// not, and is taken from the others.
func (s *Purge) removeBatch(ctx context.Context) (removed int64, err error) {
	remove, cancel := context.WithTimeout(ctx, purgeBatchTimeout)
	defer cancel()
	list, err := s.deps.Removals.BeginRemoval(ctx, purgeBatch)
	if err != nil {
		return 0, fmt.Errorf("begin removal: %w", err)
	}

	for i, o := range list {
		if err := s.removeObject(remove, o); err != nil {
			return removed, errors.Join(err, s.cancelRemoval(ctx, list[i+1:]))
		}
		removed++
	}
	return removed, nil
}

func (s *Purge) removeObject(ctx context.Context, o ledger.UnwantedObject) error {
	if err := s.deps.Objects.Remove(ctx, o); err != nil {
		return fmt.Errorf("remove object %s: %w", o.Key, err)
	}
	if err := s.deps.Removals.EndRemoval(ctx, o); err != nil {
		return fmt.Errorf("end removal of object %s: %w", o.Key, err)
	}
	return nil
}

// cancelRemoval takes the mark from list, also where the purge is told to stop.
func (s *Purge) cancelRemoval(ctx context.Context, list []ledger.UnwantedObject) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
	defer cancel()
	if err := s.deps.Removals.CancelRemoval(ctx, list); err != nil {
		return fmt.Errorf("cancel removal: %w", err)
	}
	return nil
}
