package activities_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	var got contract.RecordInput
	l, err := activities.NewRecord(recorderFunc(func(in contract.RecordInput) error {
		got = in
		switch in.Sequence {
		case 2:
			return errors.New("secret detail")
		case 3:
			return fmt.Errorf("record: %w", &ledger.Overruled{Sequence: 9})
		}
		return nil
	}))
	require.NoError(t, err)
	in := contract.RecordInput{Email: email(1), Sequence: 1, State: contract.Delivered}
	out, err := l.RecordState(t.Context(), in)
	require.NoError(t, err)
	require.Nil(t, out, "nothing to say takes no room in the history")
	require.Equal(t, in, got)
	in.Sequence = 3
	out, err = l.RecordState(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, &contract.RecordResult{OverruledBy: 9}, out)
	in.Sequence = 2
	_, err = l.RecordState(t.Context(), in)
	requireCode(t, err, fault.Internal, true)
	require.NotContains(t, err.Error(), "secret detail")
	err = l.RecordSignals(t.Context(), contract.SignalsInput{Email: email(1)})
	requireCode(t, err, fault.Internal, true)
	require.NotContains(t, err.Error(), "secret detail")
	_, err = activities.NewRecord(nil)
	require.Error(t, err)
}

type recorderFunc func(contract.RecordInput) error

func (f recorderFunc) Record(_ context.Context, in contract.RecordInput) error { return f(in) }

func (f recorderFunc) RecordSignals(context.Context, contract.SignalsInput) error {
	return errors.New("secret detail")
}
