package downstream

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

// TestHungDestinationsLeavePlacesForOthers: twenty destinations that never answer hold
// their places until their timeouts; another destination still gets its own.
func TestHungDestinationsLeavePlacesForOthers(t *testing.T) {
	t.Parallel()
	const calls, destinations, each = 300, 21, 32
	b := newBulkhead(calls, destinations)
	var held []func()
	for i := range destinations - 1 {
		for range each {
			if leave, ok := b.enter("hung"+strconv.Itoa(i), false); ok {
				held = append(held, leave)
			}
		}
	}
	require.Less(t, len(held), calls)
	var own []func()
	for {
		leave, ok := b.enter("healthy", false)
		if !ok {
			break
		}
		own = append(own, leave)
	}
	require.Len(t, own, calls/2/destinations)

	for _, leave := range append(held, own...) {
		leave()
	}
	for range calls/2 + calls/2/destinations {
		_, ok := b.enter("healthy", false)
		require.True(t, ok, "alone it may have all that is not another's share")
	}
	_, ok := b.enter("healthy", false)
	require.False(t, ok)
	b = newBulkhead(calls, destinations)
	for range calls / 2 / destinations {
		_, ok = b.enter("late", true)
		require.True(t, ok)
	}
	_, ok = b.enter("late", true)
	require.False(t, ok, "one with an overdue call has its share and no more")
	_, ok = newBulkhead(2, 1000).enter("a", true)
	require.True(t, ok, "everyone may make one call")
}

func TestCallThatFindsNoPlaceComesBackWhenPlacesDo(t *testing.T) {
	t.Parallel()
	arrived, hold := make(chan struct{}), make(chan struct{})
	d := setup(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-hold
	}, timeout(20*time.Second))
	defer close(hold)
	d.bulkhead = newBulkhead(2, 1)
	for range 2 {
		_, err := d.Admit("to")
		require.NoError(t, err)
	}
	_, err := d.Admit("to")
	f := fault.From(err)
	require.Equal(t, fault.Overloaded, f.Code)
	require.True(t, f.Temporary)
	require.Less(t, f.RetryAfter, 3*time.Second, "nothing is overdue")
	_, err = d.Admit("nowhere")
	require.NoError(t, err)

	go func() { _, _, _ = d.try(t.Context()) }()
	<-arrived
	require.Eventually(t, d.destinations["to"].tempo.late, 10*time.Second, 10*time.Millisecond)
	_, err = d.Admit("to")
	require.GreaterOrEqual(t, fault.From(err).RetryAfter, 10*time.Second)
}
