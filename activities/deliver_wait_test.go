package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

func delay(t *testing.T, err error) time.Duration {
	t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	return app.NextRetryDelay()
}

// TestResumeEndsALongRest: a destination that asks for half an hour is left alone for
// that long, and a person who resumes it need not wait for it.
func TestResumeEndsALongRest(t *testing.T) {
	t.Parallel()
	later := fault.New(fault.DownstreamUnavailable, "the destination answered 503").After(30 * time.Minute)
	b := setupDeliver(t, answers(503, later), answers(200, nil))
	answered := b.now
	_, err := b.run(t.Context())
	requireCode(t, err, fault.DownstreamUnavailable, true)
	require.Equal(t, askAgain, delay(t, err), "Temporal wakes the delivery long before")
	due := b.row().NextAttemptAt
	require.WithinRange(t, due, b.now.Add(30*time.Minute), b.now.Add(31*time.Minute), "the ledger tells the whole wait")

	for b.now = b.now.Add(askAgain); b.now.Before(due.Add(-20 * time.Second)); b.now = b.now.Add(time.Minute) {
		_, err = b.run(t.Context())
		requireCode(t, err, fault.DownstreamUnavailable, true)
		require.ErrorContains(t, err, "answered 503")
		require.Equal(t, askAgain, delay(t, err))
	}
	b.now = due.Add(-5 * time.Second)
	_, err = b.run(t.Context())
	require.Equal(t, 5*time.Second, delay(t, err))
	require.Equal(t, 1, b.wire.calls, "it is left alone")
	require.Equal(t, due, b.row().NextAttemptAt)

	b.now = due.Add(-25 * time.Minute)
	b.wire.resumed = answered.Add(-time.Minute)
	_, err = b.run(t.Context())
	require.Error(t, err, "a resume from before the answer is about something else")
	b.wire.resumed = answered.Add(time.Minute)
	out, err := b.run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, out.Attempts)
	require.Equal(t, ledger.Delivered, b.row().State)
}

func TestLongRestEndsByItselfOrByAPerson(t *testing.T) {
	t.Parallel()
	later := func() *fault.Error {
		return fault.New(fault.DownstreamUnavailable, "the destination answered 503").After(30 * time.Minute)
	}
	b := setupDeliver(t, answers(503, later()), answers(503, later()), answers(200, nil))
	_, err := b.run(t.Context())
	require.Error(t, err)
	_, err = b.run(t.Context(), again)
	require.Error(t, err)
	require.Equal(t, 2, b.wire.calls, "a person asked for another go")
	b.now = b.row().NextAttemptAt
	_, err = b.run(t.Context())
	require.NoError(t, err)
}

func TestShortWaitsAreNotInterrupted(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(503, fault.New(fault.DownstreamUnavailable, "x").After(14*time.Second)))
	_, err := b.run(t.Context())
	b.requireNext(t, 14*time.Second, err)
}

// TestAChangedRetryAfterEndsALongRest: the last word of the destination counts where it asks
// for less.
func TestAChangedRetryAfterEndsALongRest(t *testing.T) {
	t.Parallel()
	later := fault.New(fault.DownstreamUnavailable, "the destination answered 503").After(time.Hour)
	b := setupDeliver(t, answers(503, later), answers(200, nil))
	_, err := b.run(t.Context())
	require.Error(t, err)
	answered := b.now

	b.now = answered.Add(5 * time.Minute)
	b.wire.askedAt, b.wire.askedUntil = answered.Add(-time.Minute), answered.Add(6*time.Minute)
	_, err = b.run(t.Context())
	require.Error(t, err, "what it asked for before is about something else")
	b.wire.askedAt = answered.Add(4 * time.Minute)
	b.now = answered.Add(6*time.Minute - 5*time.Second)
	_, err = b.run(t.Context())
	require.Equal(t, 5*time.Second, delay(t, err))
	require.Equal(t, 1, b.wire.calls)

	b.now = answered.Add(6 * time.Minute)
	out, err := b.run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, out.Attempts)
}

// TestAPersonsAttemptIsAProbe, and no other is.
func TestAPersonsAttemptIsAProbe(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, withheld(fault.New(fault.DownstreamGone, "gone").After(12*time.Second)), answers(200, nil))
	_, err := b.run(t.Context())
	require.Equal(t, 12*time.Second, delay(t, err).Truncate(4*time.Second))
	require.False(t, b.wire.probe)
	_, err = b.run(t.Context(), again)
	require.NoError(t, err)
	require.True(t, b.wire.probe)
}
