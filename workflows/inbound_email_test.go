package workflows_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"mailroom/shared/contract"
	"mailroom/workflows"
)

// env prepares a scenario in the time-skipping environment.
func env(t *testing.T, s *script) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	e := suite.NewTestWorkflowEnvironment()
	e.SetWorkerOptions(patient())
	e.RegisterActivity(s)
	e.SetTestTimeout(30 * time.Second)
	return e
}

// answer is how a decision by update came out.
type answer struct {
	rejected error
	result   any
	err      error
	accept   func() // is called when it was accepted; may be nil
	complete func() // is called at the end; may be nil
}

func (a *answer) Reject(err error) { a.rejected = err }

func (a *answer) Accept() {
	if a.accept != nil {
		a.accept()
	}
}

func (a *answer) Complete(v any, e error) {
	a.result, a.err = v, e
	if a.complete != nil {
		a.complete()
	}
}

func status(t *testing.T, e *testsuite.TestWorkflowEnvironment) contract.Status {
	t.Helper()
	v, err := e.QueryWorkflow(contract.QueryStatus)
	require.NoError(t, err)
	var s contract.Status
	require.NoError(t, v.Get(&s))
	return s
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			s, in := newScript(), input()
			if sc.script != nil {
				sc.script(s)
			}
			if sc.input != nil {
				sc.input(&in)
			}
			e := env(t, s)
			var held []contract.Reason
			for i, d := range sc.acts {
				e.RegisterDelayedCallback(func() {
					require.Equal(t, contract.Retrying, status(t, e).State)
					var a answer
					e.UpdateWorkflow(contract.UpdateDecide, "", &a, d)
					require.NoError(t, a.rejected)
				}, time.Duration(i+1)*time.Minute)
			}
			for i, d := range sc.decisions {
				e.RegisterDelayedCallback(func() {
					st := status(t, e)
					require.Equal(t, contract.Quarantined, st.State)
					held = append(held, st.Reason)
					var a answer
					e.UpdateWorkflow(contract.UpdateDecide, "", &a, d)
					require.NoError(t, a.rejected)
				}, time.Duration(i+1)*time.Hour)
			}
			e.ExecuteWorkflow(workflows.InboundEmail, in)
			require.True(t, e.IsWorkflowCompleted())
			require.NoError(t, e.GetWorkflowError())
			var out contract.InboundEmailResult
			require.NoError(t, e.GetWorkflowResult(&out))
			check(t, sc, s, out)
			require.Equal(t, sc.held, held)
		})
	}
}

// check compares how a scenario ended with how it must.
func check(t *testing.T, sc scenario, s *script, out contract.InboundEmailResult) {
	t.Helper()
	require.Equal(t, sc.end, out.State)
	require.Equal(t, sc.effects, s.calls.effects)
	require.Equal(t, len(sc.acts)+len(sc.decisions), out.Decisions)
	require.Zero(t, s.calls.homeless, "nothing is done before the email has its row, or to another")
	if sc.end == contract.Duplicate {
		require.Empty(t, s.calls.records, "the row belongs to another workflow")
		require.NotContains(t, s.calls.steps, "Store")
		return
	}
	states := s.calls.states()
	require.Equal(t, sc.end, states[len(states)-1])
	decided, last := 0, int64(0)
	for _, r := range s.calls.records {
		require.Greater(t, r.Sequence, last, "the ledger is written in order")
		require.GreaterOrEqual(t, r.Sequence, r.AtUnixMilli, "a later run overrules an earlier one")
		last = r.Sequence
		if r.Decision != nil {
			require.Equal(t, "ada (claimed)", r.Decision.Actor)
			require.False(t, r.Verified)
			if decided < len(sc.acts) {
				require.Equal(t, contract.Retrying, r.Before)
			} else {
				require.Equal(t, contract.Quarantined, r.Before)
				require.Equal(t, sc.held[decided-len(sc.acts)], r.DecidedReason)
			}
			decided++
		}
	}
	require.Equal(t, len(sc.acts)+len(sc.decisions), decided, "each decision is a row")
	if sc.end == contract.Delivered {
		require.NotEmpty(t, s.calls.records[len(s.calls.records)-1].Routes, "the ledger learns the routes")
	}
}

func TestWaitingIsVisible(t *testing.T) {
	t.Parallel()
	for _, sc := range scenarios() {
		want := map[string]contract.Reason{
			"store_unavailable":       contract.StorageUnavailable,
			"scanner_unavailable":     contract.ScannerUnavailable,
			"destination_unavailable": contract.DownstreamUnavailable,
			"breaker_open":            contract.DownstreamUnavailable,
		}[sc.name]
		if want == "" {
			continue
		}
		s := newScript()
		sc.script(s)
		e := env(t, s)
		e.ExecuteWorkflow(workflows.InboundEmail, input())
		require.NoError(t, e.GetWorkflowError())
		require.Equal(t, []contract.State{contract.Retrying, contract.Processing, contract.Delivered}, s.calls.states(), sc.name)
		require.Equal(t, want, s.calls.records[0].Reason)
	}
}

func TestDecisionsThatMustNotCount(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.inspect = func(int) (contract.InspectResult, error) {
		return contract.InspectResult{Holds: holding(contract.Infected)}, nil
	}
	e := env(t, s)
	refusals := map[string]*answer{}
	refused := func(d contract.Decision, text string) {
		refusals[text] = &answer{}
		e.UpdateWorkflow(contract.UpdateDecide, "", refusals[text], d)
	}
	e.RegisterDelayedCallback(func() {
		refused(contract.Decision{Action: "release", Note: "x"}, "action must be one of")
		refused(contract.Decision{Action: contract.Approve}, "the note must say why")
		refused(contract.Decision{Action: contract.Approve, Note: strings.Repeat("x", contract.MaxNote+1)}, "the note has at most")
		refused(contract.Decision{Action: contract.Approve, Note: "x", Actor: strings.Repeat("x", contract.MaxActor+1)}, "the actor has at most")
		e.SignalWorkflow("release", nil)
	}, time.Hour)
	e.RegisterDelayedCallback(func() {
		for text, a := range refusals {
			require.ErrorContains(t, a.rejected, text)
		}
		require.Equal(t, contract.Quarantined, status(t, e).State)
	}, time.Hour+time.Minute)
	e.RegisterDelayedCallback(func() { // three at once: the first wins
		e.SignalWorkflow(contract.SignalApprove, contract.Decision{Actor: "ada"})
		e.SignalWorkflow(contract.SignalDiscard, contract.Decision{Actor: "bob"})
		e.SignalWorkflow(contract.SignalApprove, contract.Decision{Actor: "eve"})
	}, 2*time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
	var out contract.InboundEmailResult
	require.NoError(t, e.GetWorkflowResult(&out))
	require.Equal(t, contract.Delivered, out.State)
	require.Equal(t, 1, out.Decisions)
	require.Equal(t, ticketing, s.calls.effects)
}

// TestSecondClickReleasesNothing: an approval that comes twice does not release
// what was found only after the first.
func TestSecondClickReleasesNothing(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.store = func(int) (contract.StoreResult, error) {
		return contract.StoreResult{Holds: holding(contract.SchemaInvalid)}, nil
	}
	s.inspect = func(int) (contract.InspectResult, error) {
		return contract.InspectResult{Holds: holding(contract.Infected)}, nil
	}
	e := env(t, s)
	var second answer
	e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalApprove, nil) }, time.Hour)
	e.RegisterDelayedCallback(func() {
		e.UpdateWorkflow(contract.UpdateDecide, "", &second, decide(contract.Approve))
		e.SignalWorkflow(contract.SignalApprove, nil)
	}, time.Hour+time.Second)
	e.RegisterDelayedCallback(func() {
		require.ErrorContains(t, second.rejected, "infected")
		require.Equal(t, contract.Infected, status(t, e).Reason)
		e.SignalWorkflow(contract.SignalDiscard, nil)
	}, time.Hour+2*time.Second)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
	require.Empty(t, s.calls.effects)
}

// TestOneGoMeansOneAttempt: a person that repeats an ambiguous delivery asks for one
// more attempt; when that one is lost, the next is not made in their name.
func TestOneGoMeansOneAttempt(t *testing.T) {
	t.Parallel()
	s := newScript()
	scenarioOf(t, "careful_destination_ambiguous").script(s)
	s.deliver = func(_ context.Context, n int, _ contract.DeliverInput) (contract.DeliverResult, error) {
		if n == 1 {
			return contract.DeliverResult{}, failure("downstream_unavailable", 0)
		}
		return contract.DeliverResult{}, failure("ambiguous_effect", 0)
	}
	e := env(t, s)
	e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalApprove, nil) }, time.Hour)
	e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalDiscard, nil) }, 2*time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
	var again []bool
	for _, d := range s.calls.delivers {
		again = append(again, d.Again)
	}
	require.Equal(t, []bool{false, true, false}, again)
}

// TestNothingIsDeliveredNowhere: a route step that names neither a destination
// nor a reason holds the email.
func TestNothingIsDeliveredNowhere(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.route = func(int, contract.RouteInput) (contract.RouteResult, error) { return contract.RouteResult{}, nil }
	e := env(t, s)
	e.RegisterDelayedCallback(func() {
		require.Equal(t, contract.Unroutable, status(t, e).Reason)
		e.SignalWorkflow(contract.SignalDiscard, nil)
	}, time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
}

// TestUnreadableSignalHarmsNothing: it is dropped, and others are received after it.
func TestUnreadableSignalHarmsNothing(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.inspect = func(int) (contract.InspectResult, error) {
		return contract.InspectResult{Holds: holding(contract.Infected)}, nil
	}
	e := env(t, s)
	e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalApprove, "yes, please") }, time.Hour)
	e.RegisterDelayedCallback(func() {
		require.Equal(t, contract.Quarantined, status(t, e).State)
		e.SignalWorkflow(contract.SignalDiscard, nil)
	}, 2*time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, contract.Discarded, s.calls.records[len(s.calls.records)-1].State)
	require.Empty(t, s.calls.effects)
}

func TestCancellationChangesNothing(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.inspect = func(int) (contract.InspectResult, error) {
		return contract.InspectResult{Holds: holding(contract.Infected)}, nil
	}
	c := newChain(t, s)
	c.at(time.Hour, func(e *testsuite.TestWorkflowEnvironment) { e.CancelWorkflow() })
	c.at(30*24*time.Hour, func(e *testsuite.TestWorkflowEnvironment) { // a hold never expires by itself
		require.Equal(t, contract.Quarantined, status(t, e).State)
		e.SignalWorkflow(contract.SignalDiscard, nil)
	})
	out := c.run(input())
	require.Equal(t, contract.Discarded, out.State)
	last := s.calls.records[len(s.calls.records)-1]
	require.Equal(t, contract.ViaSignal, last.Decision.Via)
	require.Equal(t, "unnamed (claimed)", last.Decision.Actor)
	require.NotEmpty(t, last.Decision.Note)
}

func TestDiscardEndsTheDeliveriesThatStillWait(t *testing.T) {
	t.Parallel()
	s := newScript()
	scenarioOf(t, "one_delivery_rejected_then_retried").script(s)
	inner := s.deliver
	s.deliver = func(ctx context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		if in.Destination == "ticketing" {
			return contract.DeliverResult{}, failure("downstream_unavailable", 0)
		}
		return inner(ctx, n, in)
	}
	e := env(t, s)
	e.RegisterDelayedCallback(func() { e.SignalWorkflow(contract.SignalDiscard, nil) }, time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
	require.Empty(t, s.calls.effects)
	require.Less(t, time.Until(e.Now()), 2*time.Hour, "the waiting delivery is given up at once")
}

func scenarioOf(t *testing.T, name string) scenario {
	t.Helper()
	for _, sc := range scenarios() {
		if sc.name == name {
			return sc
		}
	}
	t.Fatalf("no scenario %q", name)
	return scenario{}
}
