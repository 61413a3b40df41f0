package activities_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/ledger"
)

// TestACallIsNotCutByADecision: a workflow that asks for an end because a person has
// decided gets it before the call is made; a call that is being made comes to its end.
func TestACallIsNotCutByADecision(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	b := setupDeliver(t)
	b.wire.answers = append(b.wire.answers, func(call func() error) (int, error) {
		if err := call(); err != nil {
			return 0, err
		}
		stop(temporal.NewCanceledError())
		return 200, b.wire.sending.Err()
	})
	out, err := b.run(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, out.Attempts)
	require.Equal(t, ledger.Delivered, b.row().State)

	b = setupDeliver(t, answers(200, nil))
	_, err = b.run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, b.wire.calls)
}

// TestACallEndsWithItsWorker, whatever the workflow wants.
func TestACallEndsWithItsWorker(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	b := setupDeliver(t)
	b.wire.answers = append(b.wire.answers, func(call func() error) (int, error) {
		if err := call(); err != nil {
			return 0, err
		}
		stop(errors.New("the worker stops"))
		<-b.wire.sending.Done()
		return 0, b.wire.sending.Err()
	})
	_, err := b.run(ctx)
	require.Error(t, err)
}
