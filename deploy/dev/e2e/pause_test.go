package e2e_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// keptBack returns the first email for a paused destination that waits: a worker obeys
// within seconds, and what it sends before is delivered.
func (w *world) keptBack(mailbox string) string {
	w.t.Helper()
	var waits string
	testenv.Eventually(w.t, func() bool {
		waits = newID()
		w.accept(shapeA(waits, mailbox).json())
		var e email
		testenv.Eventually(w.t, func() bool {
			e = w.email(waits)
			return e.State == "delivered" || e.State == "retrying"
		}, patience, tick)
		return e.State == "retrying"
	}, patience, tick)
	return waits
}

// TestPause: while a person has paused a destination mail for it waits and says why,
// the other destinations get theirs, and after the resume it is delivered once.
func TestPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	control := func(name, verb string, body any) int {
		return w.api(http.MethodPost, "/destinations/"+name+"/"+verb, body, nil)
	}
	note := map[string]string{"note": "their move"}
	require.Equal(t, http.StatusNotFound, control("nowhere", "pause", note))
	require.Equal(t, http.StatusBadRequest, control("accounting", "pause", map[string]string{}))
	require.Equal(t, http.StatusOK, control("accounting", "pause", note))
	d := w.destination("accounting")
	require.NotNil(t, d.Paused)
	require.Equal(t, "ada", d.Paused.By)
	require.Equal(t, "their move", d.Paused.Note)

	waits := w.keptBack("invoices")
	both, other := newID(), newID()
	w.accept(shapeA(both, "both").json())
	w.accept(shapeA(other, "support").json())
	w.until(other, "delivered")
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(other))
	for _, id := range []string{waits, both} {
		e := w.until(id, "retrying")
		require.Equal(t, "downstream_unavailable", e.Reason)
		require.Contains(t, e.Detail, "paused by ada")
	}
	require.Empty(t, w.effects(waits))
	testenv.Eventually(t, func() bool { return w.effects(both)["/tickets"] == 1 }, patience, tick)
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(both), "the delivery that is not paused is done")
	require.EqualValues(t, 2, w.destination("accounting").Backlog.Retrying)
	require.Nil(t, w.destination("ticketing").Paused)

	require.Contains(t, w.run("mailctl", "destinations", "list"), "accounting: paused by ada")
	w.run("mailctl", "destinations", "resume", "accounting", "--note", "they are there")
	require.Nil(t, w.destination("accounting").Paused)
	w.until(waits, "delivered")
	w.until(both, "delivered")
	require.Equal(t, map[string]int{"/invoices": 1}, w.effects(waits))
	require.Equal(t, map[string]int{"/tickets": 1, "/invoices": 1}, w.effects(both))
	require.Equal(t, 2, w.count(`SELECT count(*) FROM audit WHERE kind = 'destination' AND actor = 'ada'`))
}

// TestGoneDestination: a destination that answers 410 gets nothing more from any
// worker, also from one that is started later; people see why, and mail that waits
// follows their resume. So does mail that a destination has put off for long.
func TestGoneDestination(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.script(map[string]any{"path": "/invoices", "status": 410, "count": 1})
	w.script(map[string]any{"path": "/tickets", "status": 503, "retry_after": "1800", "count": 1})
	refused, putOff := newID(), newID()
	w.accept(shapeA(refused, "invoices").json())
	w.accept(shapeA(putOff, "support").json())
	require.Contains(t, w.until(refused, "retrying").Detail, "gone (410)")
	w.until(putOff, "retrying")
	require.NotEmpty(t, w.destination("accounting").GoneUntil)
	require.Contains(t, w.run("mailctl", "destinations", "list"), "accounting: it answered HTTP 410")

	require.NoError(t, w.Restart(t.Context(), stack.Worker))
	later := newID()
	w.accept(shapeA(later, "invoices").json())
	require.Contains(t, w.until(later, "retrying").Detail, "gone (410)")
	require.Equal(t, 1, w.calls("/invoices"), "a restart changes nothing")
	require.Equal(t, 1, w.calls("/tickets"))

	w.run("mailctl", "destinations", "resume", "accounting", "--note", "they are there")
	w.run("mailctl", "destinations", "resume", "ticketing", "--note", "they are there")
	for _, id := range []string{refused, later, putOff} {
		w.until(id, "delivered")
	}
	require.Empty(t, w.destination("accounting").GoneUntil)
	require.Equal(t, 3, w.calls("/invoices"))
	require.Equal(t, 2, w.calls("/tickets"))
}

// destination is what the operator API says of one.
type destination struct {
	Name   string `json:"name"`
	Paused *struct {
		By   string `json:"by"`
		Note string `json:"note"`
	} `json:"paused"`
	Backlog struct {
		Retrying int64 `json:"retrying"`
	} `json:"backlog"`
	GoneUntil string `json:"gone_until"`
}

func (w *world) destination(name string) destination {
	w.t.Helper()
	var out struct {
		Destinations []destination `json:"destinations"`
	}
	require.Equal(w.t, http.StatusOK, w.api(http.MethodGet, "/destinations", nil, &out))
	for _, d := range out.Destinations {
		if d.Name == name {
			return d
		}
	}
	w.t.Fatalf("no destination %q in %v", name, out)
	return destination{}
}
