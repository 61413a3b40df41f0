package e2e_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/testenv"
)

// putOff accepts emails that their destination does not take: it asks for half an hour, or
// says that it is gone.
func (w *world) putOff(to string, n int) []string {
	w.t.Helper()
	var ids []string
	for range n {
		id := newID()
		w.accept(shapeA(id, to).json())
		require.Equal(w.t, "downstream_unavailable", w.until(id, "retrying").Reason)
		ids = append(ids, id)
	}
	return ids
}

// TestTryNow: the attempt that an email waits for is made when a person asks for it, under
// the same key; its success wakes the others that wait for the destination, after a long
// Retry-After and after a 410.
func TestTryNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.script(map[string]any{"path": "/tickets", "status": 503, "retry_after": "1800", "count": 3})
	w.script(map[string]any{"path": "/invoices", "status": 410, "count": 1})
	later, gone := w.putOff("support", 3), w.putOff("invoices", 2)
	require.Equal(t, 1, w.calls("/invoices"))

	require.Contains(t, w.run("mailctl", "emails", "retry", later[0], "--note", "n", "--dry-run"), "retry would make the next attempt now")
	for _, ids := range [][]string{later, gone} {
		require.Contains(t, w.run("mailctl", "emails", "retry", ids[0], "--note", "they are there"), "retry")
		for _, id := range ids {
			w.until(id, "delivered")
		}
	}
	require.Empty(t, w.destination("accounting").GoneUntil)
	require.Equal(t, 6, w.calls("/tickets"))
	require.Equal(t, 3, w.calls("/invoices"))
	for _, id := range later {
		require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))
	}
	require.Equal(t, 2, w.count(`SELECT count(*) FROM decisions WHERE state_before = 'retrying' AND action = 'retry' AND actor = 'ada' AND verified`))
	require.Equal(t, 2, w.count(`SELECT count(*) FROM audit WHERE kind = 'decision' AND actor = 'ada'`))
}

// TestHoldAndDiscardWhatWaits, one by one and as a batch over the state retrying.
func TestHoldAndDiscardWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.script(map[string]any{"path": "/invoices", "status": 503, "retry_after": "1800", "count": 5})
	both := newID()
	w.accept(shapeA(both, "both").json())
	w.until(both, "retrying")
	testenv.Eventually(t, func() bool { return w.effects(both)["/tickets"] == 1 }, patience, tick)
	list := w.putOff("invoices", 4)

	require.Equal(t, http.StatusConflict, w.api(http.MethodPost, "/emails/"+both+"/decisions", map[string]string{"action": "approve", "note": "x"}, nil))
	require.Contains(t, w.run("mailctl", "emails", "discard", both, "--note", "too late"), "discarded\tdelivered before to ticketing")
	w.until(both, "discarded")
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(both))

	w.run("mailctl", "emails", "hold", list[0], "--note", "ask them")
	require.Equal(t, "manual_hold", w.until(list[0], "quarantined").Reason)
	w.run("mailctl", "emails", "discard", "--all", "--state", "retrying", "--destination", "accounting", "--note", "not any more", "--yes")
	for _, id := range list[1:] {
		w.until(id, "discarded")
	}
	require.Equal(t, 5, w.calls("/invoices"))

	w.run("mailctl", "emails", "approve", list[0], "--note", "they want it")
	w.until(list[0], "delivered")
	require.Equal(t, map[string]int{"/invoices": 1}, w.effects(list[0]))
}
