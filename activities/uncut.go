package activities

import (
	"context"

	"go.temporal.io/sdk/temporal"
)

// uncut returns a context like ctx that does not end when the workflow asks the activity
// to stop: a call that a destination has begun to work on comes to its end, and the
// workflow learns how. The deadline of the attempt and the stop of the worker end it.
func uncut(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		if !askedToStop(ctx) {
			cancel(context.Cause(ctx))
		}
	})

	release := func() { cancel(nil) }
	if end, bounded := ctx.Deadline(); bounded {
		out, release = context.WithDeadline(out, end)
	}
	return out, func() {
		forget()
		release()
		cancel(nil)
	}
}

// askedToStop reports whether the workflow has asked the activity of ctx to stop.
func askedToStop(ctx context.Context) bool { return temporal.IsCanceledError(context.Cause(ctx)) }
