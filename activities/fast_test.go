package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/fault"
)

// deliverFast runs the delivery as a local activity.
func (b *deliverBench) deliverFast(t *testing.T) (contract.DeliverResult, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	value, err := env.ExecuteLocalActivity(b.Deliver.Deliver, contract.DeliverInput{
		Email: email(100), Destination: "ticketing", Inspected: edit.Judged(b.books.manifest),
	})
	var out contract.DeliverResult
	if err == nil {
		require.NoError(t, value.Get(&out))
	}
	return out, err
}

func requireNotFast(t *testing.T, err error) {
	t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, contract.NotFast, app.Type())
}

func TestSlowDestinationIsNotCalledByAFastAttempt(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil))
	b.wire.slow = true
	b.books.down = true // it is not even read
	_, err := b.deliverFast(t)
	requireNotFast(t, err)
	b.books.down = false
	require.Zero(t, b.wire.calls)
	require.Empty(t, b.books.saved)

	out, err := b.run(t.Context())
	require.NoError(t, err, "the regular attempt makes the call")
	require.Equal(t, contract.DeliverResult{Status: 200, Attempts: 1}, out)
}

func TestFastCallsHavePlaces(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil), answers(200, nil))
	b.wire.full = true
	_, err := b.deliverFast(t)
	requireNotFast(t, err)
	require.Zero(t, b.wire.calls)
	require.Empty(t, b.books.saved, "what was not tried leaves no trace")

	b.wire.full = false
	out, err := b.deliverFast(t)
	require.NoError(t, err)
	require.Equal(t, contract.DeliverResult{Status: 200, Attempts: 1}, out)
	require.Zero(t, b.wire.reserved, "the place is given back")
}

func TestRegularCallsHavePlaces(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, answers(200, nil), answers(200, nil))
	b.wire.full = true
	_, err := b.run(t.Context())
	requireCode(t, err, fault.Overloaded, true)
	b.requireNext(t, time.Second, err)
	require.Zero(t, b.wire.calls)
	require.Zero(t, b.row().Attempts)
	b.wire.full = false
	_, err = b.run(t.Context())
	require.NoError(t, err)
	require.Zero(t, b.wire.reserved)
}

func TestFastAttemptSaysWhyNothingIsSent(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t, withheld(fault.New(fault.BreakerOpen, "a sentence")))
	_, err := b.deliverFast(t)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, string(fault.BreakerOpen), app.Type(), "no regular activity is needed to learn that")
}

func TestNotFastIsRecordedAsNoFailure(t *testing.T) {
	t.Parallel()
	var app *temporal.ApplicationError
	require.ErrorAs(t, activities.NotFast(), &app)
	require.Equal(t, temporal.ApplicationErrorCategoryBenign, app.Category())
}
