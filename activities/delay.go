package activities

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"go.temporal.io/sdk/activity"

	"mailroom/shared/fault"
)

const (
	// firstDelay is the shortest wait after a first attempt, whose workflow waits for
	// the next one by a timer.
	firstDelay = time.Second
	// maxSpread bounds by how much a wait that was asked for becomes longer.
	maxSpread = time.Minute
)

// delayedError is a temporary failure with the wait that comes after it.
type delayedError struct {
	error
	delay time.Duration
}

// Unwrap returns the failure.
func (e *delayedError) Unwrap() error { return e.error }

// delayed decides once how long the wait after a failure is, at random within
// bounds: attempts that failed together do not come again together. A wait that
// the failure asks for is never shortened; one that is left to the retry policy is
// between half of the policy's and the whole. What is final is returned as it is.
func delayed(ctx context.Context, err error) error {
	var known *delayedError
	f := fault.From(err)
	if err == nil || !f.Temporary || errors.As(err, &known) {
		return err
	}

	delay := askedDelay(f)
	switch first := firstAttempt(ctx); {
	case delay > 0:
		delay += randomUpTo(min(delay/4, maxSpread))
		if first {
			delay = max(delay, firstDelay)
		}
	case first:
		delay = firstDelay + randomUpTo(firstDelay)
	default:
		delay = policyWait(ctx)
		delay -= randomUpTo(delay / 2)
	}
	return &delayedError{error: err, delay: delay}
}

// delayOf returns the wait that delayed has decided on, 0 where there is none.
func delayOf(err error) time.Duration {
	var known *delayedError
	if errors.As(err, &known) {
		return known.delay
	}
	return 0
}

// firstAttempt reports whether ctx is that of a first attempt: the only one of its
// activity. What is no activity counts as one.
func firstAttempt(ctx context.Context) bool {
	if !activity.IsActivity(ctx) {
		return true
	}
	info := activity.GetInfo(ctx)
	return info.IsLocalActivity || info.RetryPolicy == nil || info.RetryPolicy.MaximumAttempts == 1
}

// policyWait returns the retry policy's own wait after this attempt of a regular activity.
func policyWait(ctx context.Context) time.Duration {
	info := activity.GetInfo(ctx)
	p := info.RetryPolicy
	if p == nil || p.InitialInterval <= 0 || info.Attempt < 1 {
		return firstDelay
	}
	wait := float64(p.InitialInterval) * math.Pow(max(p.BackoffCoefficient, 1), float64(info.Attempt-1))
	longest := 100 * p.InitialInterval // the server's default
	if p.MaximumInterval > 0 {
		longest = p.MaximumInterval
	}
	return time.Duration(min(wait, float64(longest)))
}

// randomUpTo returns a random part of d.
func randomUpTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d + 1) //nolint:gosec // G404: spreads attempts, keeps no secret
}

// wait returns after d, or with the error of ctx when that ends first.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
