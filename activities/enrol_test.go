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

// register is a ledger that knows nobody, or everybody.
type register struct {
	err   error
	known bool
	panic bool

	bodies [][]byte
	lost   []contract.EnrolInput
}

func (r *register) Enrol(_ context.Context, in contract.EnrolInput, body []byte) (contract.EnrolResult, error) {
	if r.panic {
		panic(string(body))
	}
	if r.err != nil {
		return contract.EnrolResult{}, r.err
	}
	r.bodies = append(r.bodies, body)
	in.Email.ID = 7
	return contract.EnrolResult{Email: in.Email}, nil
}

func (r *register) EnrolLost(_ context.Context, in contract.EnrolInput) (contract.EnrolResult, bool, error) {
	if r.err != nil {
		return contract.EnrolResult{}, false, r.err
	}
	r.lost = append(r.lost, in)
	return contract.EnrolResult{Elsewhere: true}, r.known || in.Discarded, nil
}

// clearOpener opens what is not sealed.
type clearOpener struct{ err error }

func (c clearOpener) Open(s contract.Sealed, limit int64) ([]byte, error) {
	if c.err != nil || int64(len(s.Data)) > limit {
		return nil, errors.Join(c.err, errors.New("the opener fails"))
	}
	return s.Data, nil
}

func newEnrol(t *testing.T, r *register, o activities.Opener) *activities.Enrol {
	t.Helper()
	e, err := activities.NewEnrol(activities.EnrolDeps{Ledger: r, Opener: o})
	require.NoError(t, err)
	return e
}

func carriedInput(body string) contract.EnrolInput {
	in := contract.EnrolInput{Email: email(len(body)), Carried: contract.Carried{
		BodySHA256: sha256.Sum256([]byte(body)), Body: &contract.Sealed{Data: []byte(body)},
	}}
	in.Email.ID = 0
	return in
}

func TestEnrol(t *testing.T) {
	t.Parallel()
	r := &register{}
	out, err := newEnrol(t, r, clearOpener{}).Enrol(t.Context(), carriedInput(rawBody))
	require.NoError(t, err)
	require.EqualValues(t, 7, out.Email.ID)
	require.Equal(t, [][]byte{[]byte(rawBody)}, r.bodies)

	keyed := carriedInput(rawBody)
	keyed.Carried.Body, keyed.Carried.BodyKey = nil, "body/ab/abcd"
	_, err = newEnrol(t, r, clearOpener{err: errors.New("not asked")}).Enrol(t.Context(), keyed)
	require.NoError(t, err)
	require.Nil(t, r.bodies[1])

	large := carriedInput(string(make([]byte, contract.MaxCarried)))
	_, err = newEnrol(t, r, clearOpener{}).Enrol(t.Context(), large)
	require.NoError(t, err)
	require.Len(t, r.bodies[2], contract.MaxCarried)
	require.Empty(t, r.lost)
}

func TestEnrolFailures(t *testing.T) {
	t.Parallel()
	altered, without := carriedInput(rawBody), carriedInput(rawBody)
	altered.Carried.Body = &contract.Sealed{Data: []byte("another")}
	without.Carried.Body = nil
	later := fault.New(fault.ConfigInvalid, "the key is not there yet")
	later.Temporary = true
	tests := map[string]struct {
		in     contract.EnrolInput
		ledger register
		opener clearOpener
		code   fault.Code
		again  bool
		looked bool // whether the ledger was asked for a copy
	}{
		"altered":          {in: altered, code: fault.ContentLost, looked: true},
		"no event":         {in: without, code: fault.ContentLost, looked: true},
		"does not open":    {in: carriedInput(rawBody), opener: clearOpener{fault.New(fault.ContentLost, "no")}, code: fault.ContentLost, looked: true},
		"a key to come":    {in: carriedInput(rawBody), opener: clearOpener{later}, code: fault.ConfigInvalid, again: true},
		"an unknown error": {in: carriedInput(rawBody), opener: clearOpener{errors.New("what")}, code: fault.Internal, again: true},
		"database away":    {in: carriedInput(rawBody), ledger: register{err: errAway}, code: fault.StorageUnavailable, again: true},
		"both":             {in: altered, ledger: register{err: errAway}, code: fault.StorageUnavailable, again: true},
		"a panic":          {in: carriedInput(rawBody), ledger: register{panic: true}, code: fault.Internal, again: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := newEnrol(t, &test.ledger, test.opener).Enrol(t.Context(), test.in)
			requireCode(t, err, test.code, test.again)
			require.NotContains(t, err.Error(), rawBody)
			require.Zero(t, out)
			require.Equal(t, test.looked, len(test.ledger.lost) == 1)
			require.Empty(t, test.ledger.bodies)
		})
	}
}

// TestEnrolFindsTheCopy: an event that cannot be read is not lost when it has come
// again through the database.
func TestEnrolFindsTheCopy(t *testing.T) {
	t.Parallel()
	in := carriedInput(rawBody)
	in.Carried.Body.Data = []byte("altered")
	out, err := newEnrol(t, &register{known: true}, clearOpener{}).Enrol(t.Context(), in)
	require.NoError(t, err)
	require.True(t, out.Elsewhere)
}

func TestEnrolDiscarded(t *testing.T) {
	t.Parallel()
	in := carriedInput(rawBody)
	in.Carried.Body, in.Discarded = nil, true
	r := &register{}
	_, err := newEnrol(t, r, clearOpener{}).Enrol(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, r.lost, 1)
}

func TestNewEnrol(t *testing.T) {
	t.Parallel()
	for _, deps := range []activities.EnrolDeps{{}, {Ledger: &register{}}, {Opener: clearOpener{}}} {
		_, err := activities.NewEnrol(deps)
		require.Error(t, err)
	}
}
