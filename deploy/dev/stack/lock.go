package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Lock waits until nobody else holds the lock of that name, and says that it waits
// for what. The lock is given back when the program ends, however it ends.
func Lock(ctx context.Context, path, what string, console *Console) (unlock func(), err error) {
	defer console.Reassure(ctx)()
	defer console.Await("waiting for " + what)()
	return lock(ctx, path)
}

func lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // .dev, for everybody
		return nil, fmt.Errorf("lock: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // below the stack's own folder
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		case <-poll.C:
		}
	}
}
