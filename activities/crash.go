package activities

import (
	"context"

	"go.temporal.io/sdk/activity"

	"mailroom/shared/fault"
)

// crashAttempts is how many attempts in a row may end with the end of their process
// before the failure counts as permanent and the email is held as internal.
const crashAttempts = panicAttempts

// progress is what an attempt's heartbeats say: how many attempts in a row, this one
// included, have begun and have not come to an end.
type progress struct {
	Unfinished int `json:"unfinished"`
}

type progressKey struct{}

// Attempt runs one attempt of a regular activity of an email, and ends those that end
// their process each time: a stack that overflows or a machine out of memory leaves no
// error that could be counted. Heartbeats carry the count from attempt to attempt; an
// attempt that fails in order begins it anew. An activity without a heartbeat timeout
// is run as it is.
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

	now := progress{Unfinished: before.Unfinished + 1}
	activity.RecordHeartbeat(ctx, now) // before anything can go wrong
	out, err := run(context.WithValue(ctx, progressKey{}, now))
	if err != nil {
		activity.RecordHeartbeat(ctx, progress{})
	}
	return out, err
}

// heartbeat tells Temporal that an attempt is alive, and what Attempt wants to be known.
func heartbeat(ctx context.Context) {
	if now, ok := ctx.Value(progressKey{}).(progress); ok {
		activity.RecordHeartbeat(ctx, now)
		return
	}
	activity.RecordHeartbeat(ctx)
}
