package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/contract"
	"mailroom/shared/testenv"
)

// recoveryPatience is for what goes on by itself: maintenance runs every minute, and after a
// canary in vain once more a minute later.
const recoveryPatience = 4 * time.Minute

// replay is what the API says of one.
type replay struct {
	ID       int64            `json:"id"`
	State    string           `json:"state"`
	Total    int64            `json:"total"`
	Done     int64            `json:"done"`
	Skipped  int64            `json:"skipped"`
	Failed   int64            `json:"failed"`
	Via      string           `json:"via"`
	Cause    string           `json:"cause"`
	Results  map[string]int64 `json:"results"`
	Outcomes struct {
		ByState map[string]int64 `json:"by_state"`
	} `json:"outcomes"`
	Preview *struct {
		Total  int64            `json:"total"`
		Counts map[string]int64 `json:"counts"`
	} `json:"preview"`
}

// replay asks for a replay and follows it to its end.
func (w *world) replay(request map[string]any) replay {
	w.t.Helper()
	request["note"] = "end to end"
	var row replay
	require.Equal(w.t, http.StatusOK, w.api(http.MethodPost, "/replays", request, &row))
	return w.replayed(row.ID)
}

// replayed waits for the end of a replay.
func (w *world) replayed(id int64) replay {
	w.t.Helper()
	var row replay
	testenv.Eventually(w.t, func() bool {
		return w.api(http.MethodGet, fmt.Sprintf("/replays/%d", id), nil, &row) == http.StatusOK &&
			(row.State == "done" || row.State == "failed" || row.State == "stopped")
	}, patience, tick, "replay %d does not end; the log of the worker is %s", id, w.LogFile(stack.Worker))
	require.Equal(w.t, "done", row.State)
	return row
}

// became waits until the emails of a replay have become what is expected, by state.
func (w *world) became(id int64, want map[string]int64) {
	w.t.Helper()
	var row replay
	testenv.Eventually(w.t, func() bool {
		row = replay{}
		return w.api(http.MethodGet, fmt.Sprintf("/replays/%d", id), nil, &row) == http.StatusOK && maps.Equal(row.Outcomes.ByState, want)
	}, patience, tick, "the emails of replay %d have not become %v", id, want)
}

// sent returns how many deliveries went out because of a replay, by email.
func (w *world) sent(id int64) map[string]int64 {
	w.t.Helper()
	var page struct {
		Items []struct {
			EventID string `json:"event_id"`
			Sent    int64  `json:"sent"`
		} `json:"items"`
	}
	require.Equal(w.t, http.StatusOK, w.api(http.MethodGet, fmt.Sprintf("/replays/%d/items", id), nil, &page))
	out := map[string]int64{}
	for _, i := range page.Items {
		out[i.EventID] = i.Sent
	}
	return out
}

// hold sends n emails that are held and returns their ids.
func (w *world) hold(n int, mailbox, reason string) []string {
	w.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = newID()
		w.accept(shapeA(ids[i], mailbox).json())
	}
	for _, id := range ids {
		require.Equal(w.t, reason, w.until(id, "quarantined").Reason)
	}
	return ids
}

// TestReplayDecidesAboutMany approves, retries and discards several held emails at
// once, through the API and with mailctl.
func TestReplayDecidesAboutMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ids := w.hold(12, "careful", "manual_hold")
	bystander := w.hold(1, "nobody", "unroutable")[0]
	request := map[string]any{"action": "approve", "filter": map[string]any{"reason": "manual_hold"}}

	request["dry_run"] = true
	dry := w.replay(request)
	require.Equal(t, int64(12), dry.Total)
	require.Equal(t, "quarantined", w.email(ids[0]).State, "a dry run changes nothing")

	request["dry_run"] = false
	row := w.replay(request)
	require.Equal(t, map[string]int64{"decided": 12}, row.Results)
	require.Equal(t, int64(12), row.Done)
	for _, id := range ids {
		e := w.until(id, "delivered")
		require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))
		require.Len(t, e.Decisions, 1)
		require.Equal(t, "approve", e.Decisions[0].Action)
		require.Equal(t, "replay", e.Decisions[0].Via)
		require.Equal(t, "ada", e.Decisions[0].Actor)
		require.Equal(t, "end to end", e.Decisions[0].Note)
	}
	require.Equal(t, "quarantined", w.email(bystander).State)
	w.became(row.ID, map[string]int64{"delivered": 12})
	for id, n := range w.sent(row.ID) {
		require.Equal(t, int64(1), n, id)
	}

	ids = w.hold(4, "careful", "manual_hold")
	out := w.run("mailctl", "emails", "approve", "--all", "--reason", "manual_hold", "--note", "by mailctl", "--yes")
	require.Contains(t, out, "of 4 done are now: 4 delivered")
	for _, id := range ids {
		require.Equal(t, "by mailctl", w.until(id, "delivered").Decisions[0].Note)
	}

	out = w.run("mailctl", "emails", "discard", "--all", "--reason", "unroutable", "--note", "junk", "--yes")
	require.Contains(t, out, "1")
	w.until(bystander, "discarded")
	require.Empty(t, w.effects(bystander))
}

// TestDiscardOfManyOutlivesItsWorker: the worker is killed while many emails come to
// their end. Each is discarded, by one decision that the ledger knows, and nothing is
// left under way.
func TestDiscardOfManyOutlivesItsWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ids := w.hold(60, "careful", "manual_hold")
	var row replay
	require.Equal(t, http.StatusOK, w.api(http.MethodPost, "/replays", map[string]any{
		"action": "discard", "note": "junk", "filter": map[string]any{"reason": "manual_hold"},
	}, &row))
	for range 2 {
		before := w.count(`SELECT count(*) FROM emails WHERE state = 'discarded'`)
		testenv.Eventually(t, func() bool {
			return w.count(`SELECT count(*) FROM emails WHERE state = 'discarded'`) > min(before+3, len(ids)-1)
		}, patience, time.Millisecond)
		require.NoError(t, w.Kill(stack.Worker))
		require.NoError(t, w.Start(t.Context(), stack.Worker))
	}
	row = w.replayed(row.ID)
	require.Equal(t, map[string]int64{"decided": 60}, row.Results)
	for _, id := range ids {
		e := w.until(id, "discarded")
		require.Len(t, e.Decisions, 1)
		require.Equal(t, "junk", e.Decisions[0].Note)
		require.Empty(t, w.effects(id))
	}
	require.Contains(t, w.run("mailctl", "audit", "verify"), "60")
	for _, id := range ids {
		d, err := w.tc.DescribeWorkflowExecution(t.Context(), id, "")
		require.NoError(t, err)
		require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, d.GetWorkflowExecutionInfo().GetStatus())
	}
}

// TestReplayOfDeliveredMail: what a destination has received is not sent again,
// unless an operator asks for it.
func TestReplayOfDeliveredMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ids := make([]string, 3)
	for i := range ids {
		ids[i] = newID()
		w.accept(shapeA(ids[i], "both").json())
	}
	for _, id := range ids {
		w.until(id, "delivered")
	}
	sent := w.calls("/tickets") + w.calls("/invoices")
	for _, from := range []string{"routing", "raw"} {
		row := w.replay(map[string]any{"from": from, "filter": map[string]any{"state": "delivered"}})
		require.Equal(t, map[string]int64{"started": 3}, row.Results, from)
		w.became(row.ID, map[string]int64{"delivered": 3}) // what the next one chooses from
		for _, id := range ids {
			require.Equal(t, []string{"skipped", "skipped"}, w.deliveriesOf(id, row.ID), from)
			require.Equal(t, "delivered", w.until(id, "delivered").State)
		}
		require.Equal(t, sent, w.calls("/tickets")+w.calls("/invoices"), "nothing is sent again from %s", from)
	}
	row := w.replay(map[string]any{"from": "routing", "new_effect": true, "filter": map[string]any{"q": ids[0]}})
	require.Equal(t, map[string]int64{"started": 1}, row.Results)
	require.Equal(t, []string{"delivered", "delivered"}, w.deliveriesOf(ids[0], row.ID))
	require.Equal(t, map[string]int{"/tickets": 2, "/invoices": 2}, w.effects(ids[0]), "under another key")
	require.Equal(t, map[string]int{"/tickets": 1, "/invoices": 1}, w.effects(ids[1]))
	require.Equal(t, sent+2, w.calls("/tickets")+w.calls("/invoices"))

	// Started twice at once from one dry run it is one replay, and is sent once.
	dry := w.replay(map[string]any{"from": "routing", "new_effect": true, "dry_run": true, "filter": map[string]any{"q": ids[1]}})
	begun := make([]replay, 2)
	var both sync.WaitGroup
	for i := range begun {
		both.Go(func() {
			w.api(http.MethodPost, fmt.Sprintf("/replays/%d/start", dry.ID), map[string]any{"count": 1}, &begun[i])
		})
	}
	both.Wait()
	require.NotZero(t, begun[0].ID)
	require.Equal(t, begun[0].ID, begun[1].ID)
	w.replayed(begun[0].ID)
	require.Equal(t, []string{"delivered", "delivered"}, w.deliveriesOf(ids[1], begun[0].ID))
	require.Equal(t, map[string]int{"/tickets": 2, "/invoices": 2}, w.effects(ids[1]))
}

// deliveriesOf waits until both deliveries of an email by a replay are over and returns
// their states.
func (w *world) deliveriesOf(id string, replay int64) []string {
	w.t.Helper()
	var states []string
	testenv.Eventually(w.t, func() bool {
		var e struct {
			Deliveries []struct {
				Effect string `json:"effect"`
				State  string `json:"state"`
			} `json:"deliveries"`
		}
		w.api(http.MethodGet, "/emails/"+id, nil, &e)
		states = nil
		for _, d := range e.Deliveries {
			if d.Effect == contract.ReplayEffect(replay) && (d.State == "delivered" || d.State == "skipped") {
				states = append(states, d.State)
			}
		}
		return len(states) == 2
	}, patience, tick, "replay %d does not include %s", replay, id)
	return states
}

// TestReplayAfterTheCauseIsGone holds emails for want of a route, and one with two
// destinations of which one has it already. With the route there, all go on.
func TestReplayAfterTheCauseIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ids := w.hold(6, "latecomer", "unroutable")
	w.script(map[string]any{"path": "/rejecting", "status": 422, "count": 1})
	half := w.hold(1, "rejecting", "downstream_rejected")[0]
	testenv.Eventually(t, func() bool { return w.effects(half)["/tickets"] == 1 }, patience, tick)

	row := w.replay(map[string]any{"action": "retry", "filter": map[string]any{"reason": "unroutable"}})
	require.Equal(t, map[string]int64{"decided": 6}, row.Results)
	for _, id := range ids {
		testenv.Eventually(t, func() bool { return len(w.email(id).Decisions) == 1 }, patience, tick)
		w.until(id, "quarantined")
	}

	text, err := os.ReadFile(w.options.Config)
	require.NoError(t, err)
	changed := strings.Replace(string(text), "\nroutes:\n",
		"\nroutes:\n  - {name: late, when: {recipient: \"latecomer@*\"}, to: [accounting]}\n", 1)
	require.NotEqual(t, string(text), changed)
	require.NoError(t, os.WriteFile(w.options.Config, []byte(changed), 0o600))
	require.NoError(t, w.Stop(stack.Worker))
	require.NoError(t, w.Start(t.Context(), stack.Worker))

	row = w.replay(map[string]any{"action": "retry", "filter": map[string]any{"reason": "unroutable"}})
	require.Equal(t, map[string]int64{"decided": 6}, row.Results)
	for _, id := range ids {
		require.Len(t, w.until(id, "delivered").Decisions, 2)
		require.Equal(t, map[string]int{"/invoices": 1}, w.effects(id))
	}

	row = w.replay(map[string]any{"from": "routing", "filter": map[string]any{"q": half}})
	require.Equal(t, map[string]int64{"decided": 1}, row.Results)
	w.until(half, "delivered")
	require.ElementsMatch(t, []string{"delivered", "skipped"}, w.deliveriesOf(half, row.ID), "what it has is not sent again")
	require.Equal(t, map[string]int{"/tickets": 1, "/rejecting": 1}, w.effects(half))
}

// runMaintenance triggers the schedule of maintenance.
func (w *world) runMaintenance() {
	w.t.Helper()
	err := w.tc.ScheduleClient().GetHandle(w.t.Context(), contract.MaintenanceSchedule).Trigger(w.t.Context(), client.ScheduleTriggerOptions{})
	require.NoError(w.t, err)
}

// cameBack waits until emails are delivered that no operator has released.
func (w *world) cameBack(ids []string, cause string, effects map[string]int) {
	w.t.Helper()
	for _, id := range ids {
		testenv.Eventually(w.t, func() bool {
			if w.email(id).State == "delivered" {
				return true
			}
			w.runMaintenance() // now, not with the next minute
			return false
		}, recoveryPatience, time.Second,
			"email %s does not come back; the log of the worker is %s", id, w.LogFile(stack.Worker))
		require.Equal(w.t, effects, w.effects(id))
		decisions := w.email(id).Decisions
		last := decisions[len(decisions)-1]
		require.Equal(w.t, []string{"retry", "mailroom", "system"}, []string{last.Action, last.Actor, last.Via})
	}
	var list struct {
		Replays []replay `json:"replays"`
	}
	require.Equal(w.t, http.StatusOK, w.api(http.MethodGet, "/replays", nil, &list))
	require.NotEmpty(w.t, list.Replays)
	require.Equal(w.t, cause, list.Replays[0].Cause)
	require.Equal(w.t, "system", list.Replays[0].Via)
}

// TestReplayBringsBackADestination: what was held because a destination was down for
// too long goes on by itself once it has recovered; what is held for another reason does not.
func TestReplayBringsBackADestination(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.Deliver = "2s" })
	w.script(map[string]any{"path": "/away", "status": 503})
	ids := w.hold(5, "away", "downstream_exhausted")
	other := w.hold(1, "careful", "manual_hold")[0]
	w.runMaintenance()
	const inVain = "SELECT count(*) FROM recoveries WHERE failures > 0 AND canary IS NULL"
	testenv.Eventually(t, func() bool {
		if w.count(inVain) == 1 {
			return true
		}
		w.runMaintenance() // it notices the end of the canary, and begins no second one
		return false
	}, recoveryPatience, time.Second, "one email is let go to see, and is held again")
	decided := 0
	for _, id := range ids {
		decided += len(w.email(id).Decisions)
	}
	require.Equal(t, 1, decided)
	w.clear("/away")
	require.Equal(t, 1, w.count("SELECT count(*) FROM recoveries WHERE next_at > now()"), "the next one has to wait")
	w.sql("UPDATE recoveries SET next_at = now()") // the wait is over
	w.runMaintenance()
	w.cameBack(ids, "downstream_exhausted:away", map[string]int{"/away": 1})
	require.Equal(t, "quarantined", w.email(other).State)
	require.Empty(t, w.email(other).Decisions)
}

// TestReplayBringsBackAfterTheScanner does the same for the scanner, which is asked first.
func TestReplayBringsBackAfterTheScanner(t *testing.T) {
	t.Parallel()
	var g *gate
	w := newWorldOn(t, func(s *settings) { s.Scan = "3s" }, func(i *stack.Infra) {
		g = newGate(t, i.Clamd)
		i.Clamd = g.addr()
	})
	g.set(refuse)
	ids := make([]string, 3)
	for i := range ids {
		ids[i] = newID()
		w.accept(shapeA(ids[i], "support").with(fields{
			"attachments": []any{attached("a.txt", "text/plain", []byte("harmless"))},
		}).json())
	}
	for _, id := range ids {
		require.Equal(t, "scanner_unavailable", w.until(id, "quarantined").Reason)
	}
	w.runMaintenance()
	g.set(pass)
	w.cameBack(ids, "scanner_unavailable", map[string]int{"/tickets": 1})
}
