package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// waitingScript has a destination that asks for half an hour, and takes the email from
// the attempt on that a person has asked for.
func waitingScript() *script {
	s := newScript()
	s.deliver = func(_ context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		if !in.Now {
			return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, 30*time.Minute)
		}
		return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
	}
	return s
}

// twoDestinations routes to one destination that has the email at once, and one that
// does not take it.
func twoDestinations(s *script) {
	s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
		return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing", "crm"}}, nil
	}
	s.deliver = func(_ context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		if in.Destination == "crm" && !in.Now {
			return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, 30*time.Minute)
		}
		return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
	}
}

// decided returns the changes of state that decisions have led to.
func (c *calls) decided() []contract.RecordInput {
	c.Lock()
	defer c.Unlock()
	var out []contract.RecordInput
	for _, r := range c.records {
		if r.Decision != nil {
			out = append(out, r)
		}
	}
	return out
}

// TestTryNow: a retry makes the attempt that the email waits for, once, and a repeat of the
// same intent makes no other.
func TestTryNow(t *testing.T) {
	t.Parallel()
	s := waitingScript()
	s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
		return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing", "crm"}}, nil
	}
	now := s.intend(1, contract.IntentResult{Action: contract.Retry, Actor: "olga"})
	c := newChain(t, s)
	approve := c.update(9*time.Minute, s.intend(2, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
	first := c.update(10*time.Minute, now)
	repeat := c.update(10*time.Minute, now)
	out := c.run(input())

	require.Equal(t, contract.Delivered, out.State)
	require.Less(t, c.now.Sub(c.start), 11*time.Minute, "nothing has waited for the half hour")
	require.Equal(t, map[string]int{"ticketing": 1, "crm": 1}, s.calls.effects)
	require.Equal(t, map[string]int{"ticketing": 2, "crm": 2}, map[string]int{
		"ticketing": s.calls.steps["Deliver ticketing"], "crm": s.calls.steps["Deliver crm"],
	})
	require.ErrorContains(t, approve.err, "it is not held: it waits for a dependency and is tried again by itself; retry tries it now")
	require.Equal(t, contract.Processing, first.state(t).State)
	require.NoError(t, repeat.rejected)
	decided := s.calls.decided()
	require.Len(t, decided, 1)
	require.Equal(t, contract.Retrying, decided[0].Before)
	require.Equal(t, contract.Processing, decided[0].State)
	require.Equal(t, contract.DownstreamUnavailable, decided[0].DecidedReason)
}

// TestTriedNowInVain waits again, and is tried again by itself.
func TestTriedNowInVain(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.deliver = func(_ context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		require.False(t, in.Again, "what became of the last one was not shown to the person")
		if n < 3 {
			return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, 30*time.Minute)
		}
		require.False(t, in.Now, "a person asked for one attempt, not for as many as it takes")
		return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
	}
	c := newChain(t, s)
	c.signal(10*time.Minute, contract.SignalRetry, contract.Decision{Actor: "ada"})
	out := c.run(input())
	require.Equal(t, contract.Delivered, out.State)
	require.Equal(t, []bool{false, true, false, false}, askedNow(s.calls.delivers))
	require.Equal(t, []contract.State{
		contract.Retrying, contract.Processing, contract.Retrying, contract.Processing, contract.Delivered,
	}, s.calls.states())
}

// askedNow reports of each attempt whether a person asked for it.
func askedNow(list []contract.DeliverInput) []bool {
	var out []bool
	for _, in := range list {
		out = append(out, in.Now)
	}
	return out
}

// TestDiscardWhileItWaits: what is not delivered is not sent any more, and what is
// delivered is said.
func TestDiscardWhileItWaits(t *testing.T) {
	t.Parallel()
	s := newScript()
	twoDestinations(s)
	c := newChain(t, s)
	a := c.update(10*time.Minute, s.intend(1, contract.IntentResult{Action: contract.Discard, Actor: "olga"}))
	out := c.run(input())
	require.Equal(t, contract.Discarded, out.State)
	require.Equal(t, []string{"ticketing"}, out.Destinations)
	require.Equal(t, contract.DecisionResult{State: contract.Discarded, Delivered: []string{"ticketing"}}, a.state(t))
	require.Equal(t, ticketing, s.calls.effects)
	require.Equal(t, contract.DownstreamUnavailable, s.calls.decided()[0].DecidedReason)
}

// TestDiscardWhileOneIsHeldAndOneWaits ends both.
func TestDiscardWhileOneIsHeldAndOneWaits(t *testing.T) {
	t.Parallel()
	s := newScript()
	twoDestinations(s)
	waits := s.deliver
	s.deliver = func(ctx context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		if in.Destination == "ticketing" {
			return contract.DeliverResult{}, failure(fault.DownstreamRejected, 0)
		}
		return waits(ctx, n, in)
	}
	c := newChain(t, s)
	held := c.update(9*time.Minute, s.intend(2, contract.IntentResult{Action: contract.Discard, Actor: "olga"}))
	out := c.run(input())
	require.Equal(t, contract.DecisionResult{State: contract.Discarded}, held.state(t))
	require.Equal(t, contract.Discarded, out.State)
	require.Empty(t, s.calls.effects)
}

// TestHoldWhileItWaits: what a person holds goes on when as many people approve it as the
// configuration asks for, through retries, edits and new runs of the workflow.
func TestHoldWhileItWaits(t *testing.T) {
	t.Parallel()
	s := waitingScript()
	s.plan = func(in contract.HoldInput) contract.HoldPlan {
		require.Equal(t, []contract.Reason{contract.ManualHold}, in.Reasons)
		return plan(2)
	}
	intent := func(id int64, a contract.Action, actor string) contract.Decision {
		return s.intend(id, contract.IntentResult{Action: a, Actor: actor})
	}
	c := newChain(t, s)
	hold := c.update(10*time.Minute, intent(1, contract.Held, "olga"))
	twice := c.update(20*time.Minute, intent(2, contract.Held, "olga"))
	c.update(time.Hour, intent(3, contract.Retry, "olga"))
	c.at(2*time.Hour, func(e *testsuite.TestWorkflowEnvironment) {
		st := status(t, e)
		require.Equal(t, contract.Quarantined, st.State)
		require.Equal(t, "held by olga while it waited for its next attempt", st.Detail)
		require.Equal(t, 2, st.Missing)
	})
	c.update(3*day, intent(4, contract.Approve, "olga"))
	last := c.update(4*day, intent(5, contract.Approve, "pia"))
	out := c.run(input())

	require.Greater(t, len(c.inputs), 1, "the hold went on in a new run")
	require.Equal(t, contract.Delivered, out.State)
	require.Equal(t, ticketing, s.calls.effects)
	require.Equal(t, []bool{false, true}, askedNow(s.calls.delivers), "nothing was sent while it was held")
	require.Equal(t, contract.Quarantined, hold.state(t).State)
	require.ErrorContains(t, twice.err, "it is held already")
	require.Equal(t, contract.Processing, last.state(t).State)

	var findings []contract.FindingState
	for _, r := range s.calls.records {
		for _, f := range r.Findings {
			require.Equal(t, contract.ManualHold, f.Reason)
			require.Equal(t, contract.StepRoute, f.Step)
			findings = append(findings, f.State)
		}
	}
	require.Equal(t, contract.FindingOpen, findings[0], "the ledger lets nothing leave meanwhile")
	require.Equal(t, contract.FindingApproved, findings[len(findings)-1])
}

// TestHoldWaivesNoInspection: the approval of a hold lets the email wait where it waited.
func TestHoldWaivesNoInspection(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.inspect = func(n int) (contract.InspectResult, error) {
		if n == 0 {
			return contract.InspectResult{}, failure(fault.ScannerUnavailable, 30*time.Minute)
		}
		return contract.InspectResult{Holds: holding(contract.Infected)}, nil
	}
	s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
		return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing"}, Holds: holding(contract.ManualHold)}, nil
	}
	c := newChain(t, s)
	c.signal(10*time.Minute, contract.SignalHold, contract.Decision{Actor: "ada"})
	c.signal(time.Hour, contract.SignalApprove, contract.Decision{Actor: "ada"})
	reason := func(after time.Duration, want contract.Reason) {
		c.at(after, func(e *testsuite.TestWorkflowEnvironment) { require.Equal(t, want, status(t, e).Reason) })
	}
	reason(30*time.Minute, contract.ManualHold)
	reason(2*time.Hour, contract.Infected)
	c.signal(2*time.Hour+time.Minute, contract.SignalApprove, contract.Decision{Actor: "ada"})
	reason(3*time.Hour, contract.ManualHold) // of the rule, which is not approved yet
	c.signal(3*time.Hour+time.Minute, contract.SignalDiscard, contract.Decision{Actor: "ada"})
	out := c.run(input())
	require.Equal(t, contract.Discarded, out.State)
	require.Empty(t, s.calls.effects)
}

// TestEditWhileItWaits sends the email where the edit says, and not where it waited for.
func TestEditWhileItWaits(t *testing.T) {
	t.Parallel()
	s := waitingScript()
	s.route = func(n int, _ contract.RouteInput) (contract.RouteResult, error) {
		to := []string{"ticketing", "crm"}[n]
		return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{to}}, nil
	}
	waits := s.deliver
	s.deliver = func(ctx context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		if in.Destination == "crm" {
			return contract.DeliverResult{Status: 200, Attempts: 1}, nil
		}
		return waits(ctx, n, in)
	}
	c := newChain(t, s)
	c.update(10*time.Minute, s.intend(1, contract.IntentResult{Action: contract.Edited, Actor: "olga", EditID: 7, From: contract.StepRoute}))
	out := c.run(input())
	require.Equal(t, contract.Delivered, out.State)
	require.Equal(t, map[string]int{"crm": 1}, s.calls.effects)
	require.Equal(t, []int64{7}, s.calls.applied)
	require.Less(t, c.now.Sub(c.start), 11*time.Minute)
}

// TestDecisionAboutAnotherState: a sender that has seen the email wait has not seen what holds it now.
func TestDecisionAboutAnotherState(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.store = func(int) (contract.StoreResult, error) {
		return contract.StoreResult{Budgets: contract.Budgets{DeliverSeconds: 60}}, nil
	}
	s.deliver = func(context.Context, int, contract.DeliverInput) (contract.DeliverResult, error) {
		return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, time.Second)
	}
	c := newChain(t, s)
	late := c.update(time.Hour, s.intend(1, contract.IntentResult{Action: contract.Retry, Actor: "olga", State: contract.Retrying}))
	c.update(2*time.Hour, s.intend(2, contract.IntentResult{Action: contract.Discard, Actor: "olga", State: contract.Quarantined}))
	require.Equal(t, contract.Discarded, c.run(input()).State)
	require.ErrorContains(t, late.err, "it does not wait any more, it is held as downstream_exhausted")
}

// TestReplayWhileItWaits begins at the step that the replay asks for.
func TestReplayWhileItWaits(t *testing.T) {
	t.Parallel()
	s := waitingScript()
	s.deliver = func(_ context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		if in.Replay == 0 {
			return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, 30*time.Minute)
		}
		return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
	}
	c := newChain(t, s)
	c.update(10*time.Minute, s.intend(1, contract.IntentResult{
		Action: contract.Retry, Actor: "olga", Via: contract.ViaReplay, From: contract.StepRoute,
		Replay: &contract.Replayed{ID: 3, From: contract.StepRoute},
	}))
	out := c.run(input())
	require.Equal(t, contract.Delivered, out.State)
	require.Equal(t, 2, s.calls.steps["Route"])
	require.Equal(t, 1, s.calls.steps["Store"])
}

// TestWaitForTheLedgerIsNotDecided: where the ledger has to know something first, a
// decision would change nothing.
func TestWaitForTheLedgerIsNotDecided(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.standing = func() (contract.StandingResult, error) {
		if s.calls.next("standing") == 0 {
			return contract.StandingResult{}, failure(fault.StorageUnavailable, time.Hour)
		}
		return contract.StandingResult{From: contract.StepRoute, Inspected: contract.Inspected{AtUnixMilli: 1, Content: "c"}, Content: "c"}, nil
	}
	in := input()
	in.Replay = &contract.Replayed{ID: 3, From: contract.StepRoute}
	c := newChain(t, s)
	a := c.update(10*time.Minute, s.intend(1, contract.IntentResult{Action: contract.Discard, Actor: "olga"}))
	require.Equal(t, contract.Delivered, c.run(in).State)
	require.ErrorContains(t, a.rejected, "its state is retrying, and it waits for the database")
}
