package downstream

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// TestNothingLeavesForAnotherTenant: Send refuses what routing should have refused, such
// as a delivery that has waited since the configuration was changed.
func TestNothingLeavesForAnotherTenant(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	d := setup(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	for _, tenant := range []string{"acme", "", "Default"} {
		_, err := d.Send(t.Context(), contract.Email{Tenant: tenant}, ledger.Delivery{Destination: "to", IdempotencyKey: testKey},
			func(context.Context) ([]byte, error) {
				calls.Add(1)
				return nil, nil
			})
		require.Error(t, err, "%q", tenant)
		f := fault.From(err)
		require.Equal(t, fault.ConfigInvalid, f.Code, "%q", tenant)
		require.False(t, f.Temporary, "no retry cures it: a person must look")
		require.False(t, d.Serves("to", tenant))
	}
	require.Zero(t, calls.Load())
	require.True(t, d.Serves("to", "default"))
	require.False(t, d.Serves("elsewhere", "default"))
}
