package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"mailroom/shared/contract"
)

// beatEvery is the time between heartbeats where the activity's heartbeat
// timeout does not ask for more.
const beatEvery = 5 * time.Second

// startHeartbeat heartbeats for an activity until stop is called, so that Temporal takes it
// for alive and a cancellation reaches its context: for mail above contract.LargeMail and
// wherever a heartbeat timeout is set. It goes on after a cancellation, while a call comes
// to its end. stop waits until the last heartbeat was sent. In a local activity and outside
// of any it does nothing.
func startHeartbeat(ctx context.Context, size int64) (stop func()) {
	if !activity.IsActivity(ctx) {
		return func() {}
	}
	info := activity.GetInfo(ctx)
	if info.IsLocalActivity || (size <= contract.LargeMail && info.HeartbeatTimeout <= 0) {
		return func() {}
	}

	every := beatEvery
	if third := info.HeartbeatTimeout / 3; third > 0 && third < every {
		every = third
	}

	ctx, end := uncut(ctx)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer end()
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		heartbeat(ctx)
		for {
			select {
			case <-quit:
				return
			case <-ctx.Done():
				return
			case <-ticker.C:
				heartbeat(ctx)
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
