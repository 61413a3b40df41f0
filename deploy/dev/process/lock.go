package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Lock waits until no other process holds the lock of that name, and says that it waits
// for what, and for which process. The lock ends with unlock or with the process.
func Lock(ctx context.Context, path, what string, console *Console) (unlock func(), err error) {
	defer console.Reassure(ctx)()
	defer console.AwaitText(func() string {
		holder, _ := os.ReadFile(path) //nolint:gosec // below the stack's own folder
		return fmt.Sprintf("waiting for %s (pid %s)", what, holder)
	})()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // .dev, for every user
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
			// For people alone: on a full disk a stack can still be stopped.
			_ = file.Truncate(0)
			_, _ = file.WriteString(strconv.Itoa(os.Getpid()))
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
