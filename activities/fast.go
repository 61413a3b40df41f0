package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
)

// fastPrepare bounds what a fast attempt reads before its call: such an attempt
// holds a workflow task.
const fastPrepare = 2 * time.Second

// Gate decides whether an attempt at a destination may be a fast one, and whether its
// call may be made now.
type Gate interface {
	// Quick reports whether an attempt would be over quickly, as far as is known.
	Quick(destination string) bool
	// Reserve takes a place for the call of a fast attempt; false says that none may
	// be made. done frees the place.
	Reserve(destination string) (done func(), ok bool)
	// Admit takes a place for the call of a regular attempt; the error is a fault that
	// says when to come again.
	Admit(destination string) (done func(), err error)
}

// errNotFast ends a fast attempt that must not be one, before it has had any effect.
var errNotFast = errors.New("a fast attempt is not allowed")

// NotFast returns what a fast attempt answers to its workflow where a regular
// activity has to make the attempt. The workflow starts that at once. The answer is
// recorded as any result of a local activity, so a replay takes the same way.
func NotFast() error {
	return temporal.NewApplicationErrorWithOptions("a regular activity makes this attempt", contract.NotFast,
		temporal.ApplicationErrorOptions{NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign})
}

// NeverFast is NotFast for the rest of the run.
func NeverFast() error {
	return temporal.NewApplicationErrorWithOptions("regular activities make all attempts of this run", contract.NeverFast,
		temporal.ApplicationErrorOptions{NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign})
}

// isFast reports whether ctx is that of a fast attempt.
func isFast(ctx context.Context) bool {
	return activity.IsActivity(ctx) && activity.GetInfo(ctx).IsLocalActivity
}

// reservePlace takes a place for the call of an attempt.
func reservePlace(ctx context.Context, gate Gate, destination string) (done func(), err error) {
	if !isFast(ctx) {
		return gate.Admit(destination)
	}
	done, ok := gate.Reserve(destination)
	if !ok {
		return nil, errNotFast
	}
	return done, nil
}

// boundReads bounds the reads of a fast attempt; to others it adds no bound.
func boundReads(ctx context.Context) (context.Context, context.CancelFunc) {
	if !isFast(ctx) {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, fastPrepare)
}
