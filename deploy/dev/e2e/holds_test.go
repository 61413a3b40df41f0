package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/contract"
	"mailroom/shared/testenv"
)

// TestHeldThroughRestarts: an email is held, people are reminded and told, each time
// the wait goes on in a new run, workers stop, are killed and start again; then an
// operator decides.
func TestHeldThroughRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) {
		s.Extra = "holds: {remind: 1s, escalate: 4s, notify: accounting, link: \"https://mailroom.example\"}\n"
	})
	id := newID()
	w.accept(shapeA(id, "careful").json())
	w.until(id, "quarantined")
	first := w.runID(id)
	attention := func(level int) func() bool {
		return func() bool {
			var e struct {
				State     string `json:"state"`
				Attention int    `json:"attention"`
			}
			w.api(http.MethodGet, "/emails/"+url.PathEscape(id), nil, &e)
			return e.State == "quarantined" && e.Attention >= level // a slow machine sees the second alone
		}
	}
	testenv.Eventually(t, attention(contract.AttentionReminded), patience, tick)
	require.NoError(t, w.Stop(stack.Worker))
	require.NoError(t, w.Start(t.Context(), stack.Worker))
	testenv.Eventually(t, attention(contract.AttentionEscalated), patience, tick)
	testenv.Eventually(t, func() bool { return w.runID(id) != first }, patience, tick, "the wait goes on in a new run")
	require.NoError(t, w.Kill(stack.Worker))
	require.NoError(t, w.Start(t.Context(), stack.Worker))

	d, err := w.tc.DescribeWorkflowExecution(t.Context(), id, "")
	require.NoError(t, err)
	require.LessOrEqual(t, d.GetWorkflowExecutionInfo().GetHistoryLength(), int64(40), "a held email has a short history")
	require.Contains(t, d.GetWorkflowExecutionInfo().GetMemo().GetFields(), contract.MemoBodySHA256)
	attributes, err := w.tc.DescribeWorkflow(t.Context(), id, "")
	require.NoError(t, err)
	for name, want := range map[string]string{
		contract.AttrState: "quarantined", contract.AttrReason: "manual_hold", contract.AttrTenant: "default",
		contract.AttrSource: "mailparse", contract.AttrRoute: "careful",
	} {
		got, ok := attributes.TypedSearchAttributes.GetKeyword(temporal.NewSearchAttributeKeyKeyword(name))
		require.True(t, ok, name)
		require.Equal(t, want, got, name)
	}
	// A worker that is killed while it tells the destination leaves that to the next one.
	testenv.Eventually(t, func() bool { return w.effects(id)["/invoices"] == 2 }, patience, tick, "both notices arrive")
	require.Equal(t, map[string]int{"/invoices": 2}, w.effects(id), "both notices, once each, and nothing of the email")

	w.run("mailctl", "emails", "approve", id, "--note", "looked at it")
	e := w.until(id, "delivered")
	require.Len(t, e.Decisions, 1)
	require.Equal(t, "ada", e.Decisions[0].Actor)
	require.Equal(t, "mailctl", e.Decisions[0].Via)
	require.Equal(t, "looked at it", e.Decisions[0].Note)
	require.Equal(t, map[string]int{"/invoices": 2, "/tickets": 1}, w.effects(id))
}

func (w *world) runID(id string) string {
	w.t.Helper()
	d, err := w.tc.DescribeWorkflowExecution(w.t.Context(), id, "")
	require.NoError(w.t, err)
	return d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// TestSignalsAtTheTurnOfARun: decisions come just as the run of a held email ends
// and the next begins. None is lost, and none counts twice.
func TestSignalsAtTheTurnOfARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) { s.Extra = "holds: {remind: 2s, escalate: 100h}\n" })
	var wg sync.WaitGroup
	slots := make(chan struct{}, 6)
	for range 30 {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			id := newID()
			w.accept(shapeA(id, "careful").json())
			w.until(id, "quarantined")
			wait := time.NewTimer(1700*time.Millisecond + rand.N(700*time.Millisecond))
			defer wait.Stop()
			<-wait.C
			require.NoError(t, w.tc.SignalWorkflow(t.Context(), id, "", contract.SignalEdit, contract.Decision{}), "changes nothing")
			require.NoError(t, w.tc.SignalWorkflow(t.Context(), id, "", contract.SignalApprove, nil))
			e := w.until(id, "delivered")
			require.Len(t, e.Decisions, 1)
			require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))
		})
	}
	wg.Wait()
}

// tried is one decision and what its sender was told.
type tried struct {
	action, way, note string
	taken             bool
	answer            string
}

// TestHundredInterleavings: many operators decide about one email at once, in every
// way there is. One decision wins, the others are told so, and the ledger agrees with it.
func TestHundredInterleavings(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newWorld(t, nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range 100 {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			w.interleave(rand.New(rand.NewPCG(seed, uint64(i))))
		})
	}
	wg.Wait()
}

func (w *world) interleave(r *rand.Rand) {
	id := newID()
	w.accept(shapeA(id, "careful").json())
	w.until(id, "quarantined")
	var (
		all   []*tried
		group sync.WaitGroup
		start = make(chan struct{})
	)
	for n := range 3 + r.IntN(4) {
		d := &tried{
			action: []string{"approve", "discard"}[r.IntN(2)], way: []string{"api", "update", "signal"}[r.IntN(3)], note: fmt.Sprintf("note %d", n),
		}
		pause := rand.N(time.Duration(1+r.IntN(20)) * time.Millisecond)
		all = append(all, d)
		group.Go(func() {
			<-start
			wait := time.NewTimer(pause)
			defer wait.Stop()
			<-wait.C
			w.try(id, d)
		})
	}
	close(start)
	group.Wait()

	end := w.until(id, w.closes(id))
	require.Len(w.t, end.Decisions, 1, "one decision counts: %+v", end.Decisions)
	won := end.Decisions[0]
	effects := map[string]int{}
	if won.Action == "approve" {
		effects["/tickets"] = 1
	}
	require.Equal(w.t, map[string]string{"approve": "delivered", "discard": "discarded"}[won.Action], end.State)
	require.Equal(w.t, effects, w.effects(id))
	confirmed, unknown := 0, 0
	for _, d := range all {
		switch {
		case d.way == "signal":
		case strings.Contains(d.answer, "look at the email's state before you decide again"): // a slow machine
			unknown++
		case d.taken:
			confirmed++
			require.Equal(w.t, []string{d.action, d.note, d.way}, []string{won.Action, won.Note, won.Via}, "the one that was told so has decided")
		default:
			require.True(w.t, strings.Contains(d.answer, map[string]string{"approve": "approved it at", "discard": "discarded it at"}[won.Action]) ||
				d.way == "update" && strings.Contains(d.answer, "unexpected workflow task failure") || // our own programs send it again
				strings.Contains(d.answer, "completed") || strings.Contains(d.answer, "closing workflow") || strings.Contains(d.answer, "not found"), "%s: told %q", d.way, d.answer)
		}
	}
	require.LessOrEqual(w.t, confirmed, 1)
	if won.Via != "signal" && unknown == 0 {
		require.Equal(w.t, 1, confirmed, "%+v", won)
	}
	require.Equal(w.t, map[string]string{"api": "ada", "update": "eve (claimed)", "signal": "eve (claimed)"}[won.Via], won.Actor)
}

// closes waits for the end of an email and returns its state.
func (w *world) closes(id string) string {
	w.t.Helper()
	var e email
	testenv.Eventually(w.t, func() bool {
		e = w.email(id)
		return e.ClosedAt != ""
	}, patience, tick)
	return e.State
}

// try sends one decision.
func (w *world) try(id string, d *tried) {
	claimed := contract.Decision{Action: contract.Action(d.action), Actor: "eve", Note: d.note}
	switch d.way {
	case "api":
		var out struct {
			OK      bool   `json:"ok"`
			Message string `json:"message"`
		}
		w.api(http.MethodPost, "/emails/"+url.PathEscape(id)+"/decisions", map[string]string{"action": d.action, "note": d.note}, &out)
		d.taken, d.answer = out.OK, out.Message
	case "update":
		h, err := w.tc.UpdateWorkflow(w.t.Context(), client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateName: contract.UpdateDecide, Args: []any{claimed}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err == nil {
			err = h.Get(w.t.Context(), nil)
		}
		if d.taken = err == nil; err != nil {
			d.answer = err.Error()
		}
	default:
		claimed.Action = ""
		_ = w.tc.SignalWorkflow(w.t.Context(), id, "", d.action, claimed) // the email may have ended
	}
}

// TestTwoPeople: one person is one, on every way together: with two tokens, and with a
// signal that only claims to be from another person.
func TestTwoPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *settings) {
		s.Extra = "approvals: {infected: 2}\n"
		s.People = "\n  - {name: bob, role: operator, token: {ref: \"env:BOB_TOKEN\"}}"
	})
	id := newID()
	w.accept(shapeA(id, "support").with(fields{"text": string(eicar())}).json())
	w.until(id, "quarantined")
	approve := func(token string) (int, map[string]any) {
		body, err := json.Marshal(map[string]string{"action": "approve", "note": "known false alarm"})
		require.NoError(t, err)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost,
			w.OperatorURL()+"/api/v1/emails/"+url.PathEscape(id)+"/decisions", bytes.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := w.http.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		var out map[string]any
		require.NoError(t, json.NewDecoder(res.Body).Decode(&out))
		return res.StatusCode, out
	}
	status, out := approve(operatorToken)
	require.Equal(t, http.StatusOK, status, "%v", out)
	require.Equal(t, "quarantined", out["state"])
	require.EqualValues(t, 1, out["missing"])
	status, out = approve(operatorToken)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, out["message"], "ada has approved it already; one more person has to approve")
	require.Empty(t, w.effects(id))
	own := strings.TrimSpace(w.run("mailctl", "tokens", "create", "second-of-ada", "--role", "operator"))
	status, out = approve(own)
	require.Equal(t, http.StatusConflict, status, "her own second token is she herself: %v", out)
	require.Contains(t, w.fail("mailctl", "tokens", "create", "policy", "--role", "operator"), "reserved for Mailroom itself")

	w.run("temporal", "workflow", "signal", "--workflow-id", id, "--name", "approve", "--input", `{"actor":"eve"}`)
	testenv.Eventually(t, func() bool { return len(w.email(id).Decisions) == 2 }, patience, tick)
	require.Equal(t, "quarantined", w.email(id).State)
	require.Empty(t, w.effects(id))

	bobs := strings.TrimSpace(w.run("mailctl", "tokens", "create", "laptop-of-bob", "--role", "operator", "--owner", "Bob"))
	status, out = approve(bobs)
	require.Equal(t, http.StatusOK, status, "%v", out)
	e := w.until(id, "delivered")
	require.Len(t, e.Decisions, 3)
	require.Equal(t, []string{"ada", "eve (claimed)", "laptop-of-bob"}, []string{e.Decisions[0].Actor, e.Decisions[1].Actor, e.Decisions[2].Actor})
	require.Equal(t, []string{"api", "signal", "api"}, []string{e.Decisions[0].Via, e.Decisions[1].Via, e.Decisions[2].Via})
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))
}
