package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"mailroom/shared/fault"
)

// crashAttempts is how many attempts in a row may end with the end of their process
// before the failure counts as permanent and the email is held as internal.
const crashAttempts = panicAttempts

// crashSuspected is how many attempts in a row may end like that before the next one
// begins at a moment of its own.
const crashSuspected = 2

// progress is what an attempt's heartbeats say: how many attempts in a row, this one
// included, have begun and have not come to an end.
type progress struct {
	Unfinished int `json:"unfinished"`
}

type progressKey struct{}

// Attempt runs one attempt of a regular activity of an email, and ends those that end
// their process each time: a stack that overflows or a machine out of memory leaves no
// error that could be counted. Heartbeats hand the count from attempt to attempt; an
// attempt that fails in order begins it anew. An activity without a heartbeat timeout
// is run as it is.
//
// All attempts that were under way when a process ended come again together, and the one
// that ends it would take the others along each time. From the second crash on they
// begin at random within half of the heartbeat timeout, so that others are over by then.
func Attempt(ctx context.Context, run func(context.Context) (any, error)) (any, error) {
	if activity.GetInfo(ctx).HeartbeatTimeout <= 0 {
		return run(ctx)
	}
	var before progress
	if activity.HasHeartbeatDetails(ctx) {
		_ = activity.GetHeartbeatDetails(ctx, &before) // of another kind: nothing is known
	}
	if before.Unfinished >= crashAttempts {
		activity.GetLogger(ctx).Error("step.crashes", "attempts", before.Unfinished)
		return nil, toTemporal(fault.New(fault.Internal,
			"this step of the email ended its worker each time; the logs of the workers have the details").Permanent())
	}

	// Nothing is recorded meanwhile: an end during the wait is no end of this attempt.
	if err := wait(ctx, crashWait(before, activity.GetInfo(ctx).HeartbeatTimeout)); err != nil {
		return nil, err
	}
	now := progress{Unfinished: before.Unfinished + 1}
	activity.RecordHeartbeat(ctx, now) // before anything can go wrong
	out, err := run(context.WithValue(ctx, progressKey{}, now))
	if err != nil {
		activity.RecordHeartbeat(ctx, progress{})
	}
	return out, err
}

// crashWait returns how long an attempt waits before it begins, at most half of the
// heartbeat timeout.
func crashWait(before progress, timeout time.Duration) time.Duration {
	if before.Unfinished < crashSuspected {
		return 0
	}
	return randomUpTo(timeout / 2)
}

// heartbeat tells Temporal that an attempt is alive, with the count of Attempt.
func heartbeat(ctx context.Context) {
	if now, ok := ctx.Value(progressKey{}).(progress); ok {
		activity.RecordHeartbeat(ctx, now)
		return
	}
	activity.RecordHeartbeat(ctx)
}
