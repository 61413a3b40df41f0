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
)

// Purge takes the content from emails that were discarded, as the policy has it, and
// removes objects that no email has any more. Every step is written down before it is
// done, so that a crash leaves nothing but work for the next purge. It is idempotent.
func (s *Tending) Purge(ctx context.Context, _ contract.MaintenanceInput) (out contract.MaintenanceResult, err error) {
	defer settle(ctx, contract.Email{}, &err)
	defer beat(ctx, 0)()

	if err := s.deps.Purge.ForgetSamples(ctx, sampleAge); err != nil {
		return out, fmt.Errorf("forget samples: %w", err)
	}
	if err := s.deps.Purge.ForgetRemovals(ctx, removalsKept); err != nil {
		return out, fmt.Errorf("forget removals: %w", err)
	}
	if s.config.RemoveContent {
		before := s.deps.Now().Add(-s.config.RemoveAfter)
		if out.Removed, err = s.deps.Purge.RemoveContent(ctx, before, purgeEmails); err != nil {
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

// removeBatch removes some objects that no email has, and returns how many it were.
// After an error the mark stays on the object that it is about, which may be removed or
// not, and is taken from the others.
func (s *Tending) removeBatch(ctx context.Context) (removed int64, err error) {
	remove, cancel := context.WithTimeout(ctx, purgeBatchTimeout)
	defer cancel()
	list, err := s.deps.Purge.BeginRemoval(ctx, purgeBatch)
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

func (s *Tending) removeObject(ctx context.Context, o ledger.UnwantedObject) error {
	if err := s.deps.Objects.Remove(ctx, o); err != nil {
		return fmt.Errorf("remove object %s: %w", o.Key, err)
	}
	if err := s.deps.Purge.EndRemoval(ctx, o); err != nil {
		return fmt.Errorf("end removal of object %s: %w", o.Key, err)
	}
	return nil
}

// cancelRemoval takes the mark from list, also where the purge is told to stop.
func (s *Tending) cancelRemoval(ctx context.Context, list []ledger.UnwantedObject) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
	defer cancel()
	if err := s.deps.Purge.CancelRemoval(ctx, list); err != nil {
		return fmt.Errorf("cancel removal: %w", err)
	}
	return nil
}
