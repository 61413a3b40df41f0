package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSlowDestinationGetsEachEmailOnce: a destination that takes three seconds, well
// within its timeout, is not called a second time meanwhile, whether its worker knows
// it as a quick one or does not know it yet.
func TestSlowDestinationGetsEachEmailOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	quick := make([]string, 8)
	for i := range quick {
		quick[i] = newID()
		w.accept(shapeA(quick[i], "support").json())
		w.until(quick[i], "delivered")
	}

	w.script(map[string]any{"path": "/tickets", "delay": "3s"})
	w.script(map[string]any{"path": "/invoices", "delay": "3s"})
	var slow []string
	for range 10 {
		for _, mailbox := range []string{"support", "invoices"} {
			id := newID()
			w.accept(shapeA(id, mailbox).json())
			slow = append(slow, id)
		}
	}
	for _, id := range slow {
		e := w.until(id, "delivered")
		require.Len(t, e.Deliveries, 1)
		require.Equal(t, 1, e.Deliveries[0].Attempts)
	}
	require.Equal(t, len(quick)+10, w.calls("/tickets"), "no request is a repeat")
	require.Equal(t, 10, w.calls("/invoices"))
}
