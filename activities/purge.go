package activities

import (
	"context"
	"fmt"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// Bounds of one purge.
const (
	purgeEmails  = 500
	purgeObjects = 500
	// freshObject is how old an object must be to be removed: one that was written
	// lately may belong to an email whose store step is about to say so. It is longer
	// than an attempt of that step may take.
	freshObject = 15 * time.Minute
)

// Purge takes the content from emails that were discarded, as the policy has it, and
// removes objects that no email has any more. What it does is noted first, so that
// a crash leaves nothing but work for the next time.
func (s *Tending) Purge(ctx context.Context, _ contract.TendInput) (out contract.TendResult, err error) {
	defer settle(ctx, contract.Email{}, &err)
	defer beat(ctx, 0)()

	if err := s.deps.Purge.ForgetSamples(ctx, sampleAge); err != nil {
		return out, fmt.Errorf("forget samples: %w", err)
	}
	if s.config.RemoveContent {
		before := s.deps.Now().Add(-s.config.RemoveAfter)
		if out.Removed, err = s.deps.Purge.RemoveContent(ctx, before, purgeEmails); err != nil {
			return out, fmt.Errorf("remove content: %w", err)
		}
	}
	list, err := s.deps.Purge.UnwantedObjects(ctx, purgeObjects)
	if err != nil {
		return out, fmt.Errorf("list objects: %w", err)
	}
	for _, o := range list {
		removed, err := s.removeObject(ctx, o)
		if err != nil {
			return out, fmt.Errorf("remove object %s: %w", o.Key, err)
		}
		if removed {
			out.Objects++
		}
	}
	return out, nil
}

// removeObject removes one object, and puts it back where an email has come to have
// it in that very moment.
func (s *Tending) removeObject(ctx context.Context, o ledger.UnwantedObject) (bool, error) {
	age, there, err := s.deps.Objects.Age(ctx, o)
	switch {
	case err != nil:
		return false, err
	case !there:
		return false, s.deps.Purge.RemovedObject(ctx, o)
	case age < freshObject:
		return false, nil
	}
	content, err := s.deps.Objects.Content(ctx, o)
	if err != nil {
		return false, err
	}
	if err := s.deps.Objects.Remove(ctx, o); err != nil {
		return false, err
	}
	has, err := s.deps.Purge.HasObject(ctx, o)
	if err != nil || has {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if back := s.deps.Objects.PutBack(ctx, o, content); back != nil || err != nil {
			return false, fmt.Errorf("put it back: %w", errorOf(err, back))
		}
	}
	return !has, s.deps.Purge.RemovedObject(ctx, o)
}

func errorOf(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
