package program

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mailroom/shared/fault"
	"mailroom/shared/postgres"
)

const (
	attemptTimeout = 5 * time.Second
	attemptPause   = time.Second
)

// Await calls try, each time with a timeout, until it returns nil or an error of
// UnlessUnavailable, or ctx is done. It logs the first failure, and each that differs from the one before.
func (p *Program) Await(ctx context.Context, dependency string, try func(context.Context) error) error {
	ticker := time.NewTicker(attemptPause)
	defer ticker.Stop()

	for logged := ""; ; {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := try(attempt)
		cancel()

		var final permanent
		switch {
		case err == nil:
			return nil
		case errors.As(err, &final):
			return final.error
		case ctx.Err() == nil && err.Error() != logged:
			logged = err.Error()
			p.Logger.Warn("program.waiting", "for", dependency, "error", err)
		}

		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for %s: %w", dependency, ctx.Err()), err)
		case <-ticker.C:
		}
	}
}

// permanent is an error that another attempt would meet again.
type permanent struct{ error }

// UnlessUnavailable makes Await return err at once unless the database or the object
// store was unavailable.
func UnlessUnavailable(err error) error {
	if err == nil || Unavailable(err) {
		return err
	}
	return permanent{err}
}

// Unavailable reports whether err says that the database or the object store did not
// answer.
func Unavailable(err error) bool {
	return fault.Is(err, fault.StorageUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// AwaitMigrations waits until the database answers. A pending migration is an error.
func (p *Program) AwaitMigrations(ctx context.Context, db *postgres.DB) error {
	return p.Await(ctx, "postgres", func(ctx context.Context) error { return UnlessUnavailable(db.Pending(ctx)) })
}
