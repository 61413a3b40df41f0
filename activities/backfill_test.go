package activities_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// register is a ledger that knows no event, or every event.
type register struct {
	err   error
	known bool
	panic bool

	bodies [][]byte
	lost   []contract.BackfillInput
}

func (r *register) BackfillRow(_ context.Context, in contract.BackfillInput, body []byte) (contract.BackfillResult, error) {
	if r.panic {
		panic(string(body))
	}
	if r.err != nil {
		return contract.BackfillResult{}, r.err
	}
	r.bodies = append(r.bodies, body)
	in.Email.ID = 7
	return contract.BackfillResult{Email: in.Email}, nil
}

func (r *register) BackfillLost(_ context.Context, in contract.BackfillInput) (contract.BackfillResult, bool, error) {
	if r.err != nil {
		return contract.BackfillResult{}, false, r.err
	}
	r.lost = append(r.lost, in)
	return contract.BackfillResult{Duplicate: true}, r.known || in.Discarded, nil
}

// clearOpener opens what is not sealed.
type clearOpener struct{ err error }

func (c clearOpener) Open(s contract.Sealed, limit int64) ([]byte, error) {
	if c.err != nil || int64(len(s.Data)) > limit {
		return nil, errors.Join(c.err, errors.New("the opener fails"))
	}
	return s.Data, nil
}

func newBackfill(t *testing.T, r *register, o activities.Opener) *activities.Backfill {
	t.Helper()
	e, err := activities.NewBackfill(activities.BackfillDeps{Ledger: r, Opener: o})
	require.NoError(t, err)
	return e
}

func fallbackInput(body string) contract.BackfillInput {
	in := contract.BackfillInput{Email: email(len(body)), Fallback: contract.FallbackEvent{
		BodySHA256: sha256.Sum256([]byte(body)), Body: &contract.Sealed{Data: []byte(body)},
	}}
	in.Email.ID = 0
	return in
}

func TestBackfill(t *testing.T) {
	t.Parallel()
	r := &register{}
	out, err := newBackfill(t, r, clearOpener{}).Backfill(t.Context(), fallbackInput(rawBody))
	require.NoError(t, err)
	require.EqualValues(t, 7, out.Email.ID)
	require.Equal(t, [][]byte{[]byte(rawBody)}, r.bodies)

	keyed := fallbackInput(rawBody)
	keyed.Fallback.Body, keyed.Fallback.BodyKey = nil, "body/ab/abcd"
	_, err = newBackfill(t, r, clearOpener{err: errors.New("not asked")}).Backfill(t.Context(), keyed)
	require.NoError(t, err)
	require.Nil(t, r.bodies[1])

	large := fallbackInput(string(make([]byte, contract.MaxFallbackBody)))
	_, err = newBackfill(t, r, clearOpener{}).Backfill(t.Context(), large)
	require.NoError(t, err)
	require.Len(t, r.bodies[2], contract.MaxFallbackBody)
	require.Empty(t, r.lost)
}

func TestBackfillFailures(t *testing.T) {
	t.Parallel()
	altered, without := fallbackInput(rawBody), fallbackInput(rawBody)
	altered.Fallback.Body = &contract.Sealed{Data: []byte("another")}
	without.Fallback.Body = nil
	later := fault.New(fault.ConfigInvalid, "the key is not there yet")
	later.Temporary = true
	tests := map[string]struct {
		in     contract.BackfillInput
		ledger register
		opener clearOpener
		code   fault.Code
		again  bool
		looked bool // whether the ledger was asked for a copy
	}{
		"altered":          {in: altered, code: fault.ContentLost, looked: true},
		"no event":         {in: without, code: fault.ContentLost, looked: true},
		"does not open":    {in: fallbackInput(rawBody), opener: clearOpener{fault.New(fault.ContentLost, "no")}, code: fault.ContentLost, looked: true},
		"a key to come":    {in: fallbackInput(rawBody), opener: clearOpener{later}, code: fault.ConfigInvalid, again: true},
		"an unknown error": {in: fallbackInput(rawBody), opener: clearOpener{errors.New("what")}, code: fault.Internal, again: true},
		"database is down": {in: fallbackInput(rawBody), ledger: register{err: errUnavailable}, code: fault.StorageUnavailable, again: true},
		"both":             {in: altered, ledger: register{err: errUnavailable}, code: fault.StorageUnavailable, again: true},
		"a panic":          {in: fallbackInput(rawBody), ledger: register{panic: true}, code: fault.Internal, again: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := newBackfill(t, &test.ledger, test.opener).Backfill(t.Context(), test.in)
			requireCode(t, err, test.code, test.again)
			require.NotContains(t, err.Error(), rawBody)
			require.Zero(t, out)
			require.Equal(t, test.looked, len(test.ledger.lost) == 1)
			require.Empty(t, test.ledger.bodies)
		})
	}
}

// TestBackfillFindsTheCopy: an event that cannot be read is not lost when it has come
// again through the database.
func TestBackfillFindsTheCopy(t *testing.T) {
	t.Parallel()
	in := fallbackInput(rawBody)
	in.Fallback.Body.Data = []byte("altered")
	out, err := newBackfill(t, &register{known: true}, clearOpener{}).Backfill(t.Context(), in)
	require.NoError(t, err)
	require.True(t, out.Duplicate)
}

func TestBackfillDiscarded(t *testing.T) {
	t.Parallel()
	in := fallbackInput(rawBody)
	in.Fallback.Body, in.Discarded = nil, true
	r := &register{}
	_, err := newBackfill(t, r, clearOpener{}).Backfill(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, r.lost, 1)
}

func TestNewBackfill(t *testing.T) {
	t.Parallel()
	for _, deps := range []activities.BackfillDeps{{}, {Ledger: &register{}}, {Opener: clearOpener{}}} {
		_, err := activities.NewBackfill(deps)
		require.Error(t, err)
	}
}
