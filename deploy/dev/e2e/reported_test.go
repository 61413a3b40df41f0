package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatTheProviderSaidIsPassedOn: to the destination, marked as reported; a second
// mail with the same Message-ID names the first; and a mail with the mark that the
// destination received is held, where one with an unknown mark is not.
func TestWhatTheProviderSaidIsPassedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	received := func(id string) request {
		require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))
		return w.received(id)
	}
	mailed := func(id string, headers fields) fields {
		headers["message-id"] = "<same@elsewhere.example>"
		return shapeA(id, "support").with(fields{"auth": fields{"spf": "fail", "dkim": "pass", "dmarc": "none"}, "headers": headers})
	}
	first, second, back, strange := newID(), newID(), newID(), newID()

	w.accept(mailed(first, fields{}).json())
	w.until(first, "delivered")
	got := received(first)
	require.JSONEq(t, `{"auth":{"spf":"fail","dkim":"pass","dmarc":"none"},"type":"email.received","timestamp":"2026-01-02T03:04:05Z"}`, string(got.Reported))
	require.Equal(t, first, got.LoopMark)
	require.Empty(t, got.PossibleDuplicateOf)

	w.accept(mailed(second, fields{}).json())
	w.until(second, "delivered")
	require.Equal(t, first, received(second).PossibleDuplicateOf)

	w.accept(mailed(back, fields{"X-Mailroom-Event-Id": got.LoopMark}).json())
	require.Equal(t, "loop_detected", w.until(back, "quarantined").Reason)
	w.decide(back, "approve")
	w.until(back, "delivered")

	w.accept(mailed(strange, fields{"X-Mailroom-Event-Id": "evt_of_somebody_else"}).json())
	w.until(strange, "delivered")
}
