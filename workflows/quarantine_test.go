package workflows_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

const day = 24 * time.Hour

// infected lets every inspection find malware.
func infected(s *script) {
	s.inspect = func(int) (contract.InspectResult, error) {
		return contract.InspectResult{Holds: holding(contract.Infected)}, nil
	}
}

func infectedScript() *script {
	s := newScript()
	infected(s)
	return s
}

// TestThirtyDaysHeld: people are reminded, then told with more emphasis, then each
// week; every time the wait goes on in a new run with next to nothing to remember.
func TestThirtyDaysHeld(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.plan = func(in contract.HoldInput) contract.HoldPlan {
		require.Equal(t, []contract.Reason{contract.Infected}, in.Reasons)
		p := plan(1)
		p.Notify = true
		return p
	}
	c := newChain(t, s)
	c.at(30*day, func(e *testsuite.TestWorkflowEnvironment) {
		st := status(t, e)
		require.Equal(t, contract.Quarantined, st.State)
		require.Equal(t, contract.Infected, st.Reason)
		require.Equal(t, "inspect", st.Step)
		require.Equal(t, c.start.UnixMilli(), st.HeldSinceUnixMilli/1000*1000)
		require.Equal(t, c.start.Add(day+5*7*day).UnixMilli(), st.NextReminderUnixMilli/1000*1000)
	})
	a := c.update(30*day+time.Second, s.intend(7, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
	out := c.run(input())
	require.Equal(t, contract.InboundEmailResult{State: contract.Delivered, Destinations: []string{"ticketing"}, Decisions: 1}, out)
	require.Equal(t, contract.Processing, a.state(t).State)
	require.Equal(t, ticketing, s.calls.effects)
	require.Equal(t, 1, s.calls.steps["Inspect"], "no step runs again because time passes")
	require.Equal(t, 1, s.calls.steps["PlanHold"])

	var after []time.Duration
	for i, r := range s.calls.reminds {
		require.Equal(t, i+1, r.Number)
		require.Equal(t, min(i+1, contract.AttentionEscalated), r.Level)
		require.False(t, r.Deadline)
		require.Equal(t, s.calls.records[0].Sequence, r.Sequence)
		after = append(after, time.Duration(r.AtUnixMilli-r.SinceUnixMilli)*time.Millisecond)
	}
	require.Equal(t, []time.Duration{4 * time.Hour, day, 8 * day, 15 * day, 22 * day, 29 * day}, after)
	require.Equal(t, s.calls.reminds, s.calls.notices)

	require.Len(t, c.inputs, 1+len(after), "a new run after each reminder")
	for _, in := range c.inputs[1:] {
		encoded, err := json.Marshal(in)
		require.NoError(t, err)
		require.Less(t, len(encoded), 2048, "what a run leaves to the next does not grow")
	}
	states := s.calls.states()
	require.Equal(t, []contract.State{contract.Quarantined, contract.Processing, contract.Delivered}, states)
	decided := s.calls.records[1]
	require.Equal(t, &contract.Decision{Intent: 7, Action: contract.Approve, Actor: "olga", Via: contract.ViaConsole}, decided.Decision)
	require.True(t, decided.Verified)
	require.Greater(t, decided.Sequence, s.calls.records[0].Sequence)
}

// TestWorkersStoppedForLong: what was missed is told once, with the last level.
func TestWorkersStoppedForLong(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	c := newChain(t, s)
	c.signal(41*day, contract.SignalDiscard, nil)
	in := input()
	in.Resumed = &contract.Resumed{
		Step: contract.StepInspect, Sequence: 1,
		Held: []contract.ResumedHold{{Holds: holding(contract.Infected), SinceUnixMilli: c.start.Add(-40 * day).UnixMilli(), Plan: plan(1)}},
	}
	c.run(in)
	require.Equal(t, 7, s.calls.reminds[0].Number)
	require.Equal(t, contract.AttentionEscalated, s.calls.reminds[0].Level)
	require.Len(t, s.calls.reminds, 7, "one for the past, then one a week")
	require.Zero(t, s.calls.steps["Store"]+s.calls.steps["Inspect"])
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	for policy, end := range map[string]contract.State{
		contract.AtDeadlineDiscard: contract.Discarded,
		contract.AtDeadlineRelease: contract.Delivered,
		contract.AtDeadlineKeep:    contract.Discarded, // by the person who looks at it in the end
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := infectedScript()
			s.plan = func(contract.HoldInput) contract.HoldPlan {
				p := plan(2)
				p.DeadlineSeconds, p.AtDeadline = int64(10*day/time.Second), policy
				return p
			}
			c := newChain(t, s)
			if policy == contract.AtDeadlineKeep {
				c.signal(20*day, contract.SignalDiscard, nil)
			}
			require.Equal(t, end, c.run(input()).State)
			var decided []contract.RecordInput
			for _, r := range s.calls.records {
				if r.Decision != nil {
					decided = append(decided, r)
				}
			}
			require.Len(t, decided, 1)
			at := decided[0].AtUnixMilli - c.start.UnixMilli()
			if policy == contract.AtDeadlineKeep {
				require.Equal(t, contract.ViaSignal, decided[0].Decision.Via)
				var told []bool
				for _, r := range s.calls.reminds {
					told = append(told, r.Deadline)
				}
				require.Equal(t, []bool{false, false, false, true, false}, told, "the deadline itself is told")
				return
			}
			require.Equal(t, contract.ViaPolicy, decided[0].Decision.Via)
			require.Equal(t, "policy", decided[0].Decision.Actor)
			require.NotEmpty(t, decided[0].Decision.Note)
			require.True(t, decided[0].Verified)
			require.InDelta(t, (10 * day).Milliseconds(), at, 5000, "not before the deadline, and at it")
			require.Zero(t, c.now.Sub(c.start.Add(10*day)).Truncate(time.Minute))
		})
	}
}

// TestPoliciesThatDisagree leave the email held: one delivery may be given up, the other
// must not.
func TestPoliciesThatDisagree(t *testing.T) {
	t.Parallel()
	s := newScript()
	twoDeliveries(s, func(string, int) error { return failure(fault.DownstreamRejected, 0) })
	n := 0
	s.plan = func(contract.HoldInput) contract.HoldPlan {
		p := plan(1)
		if n++; n == 1 {
			p.DeadlineSeconds, p.AtDeadline = 3600, contract.AtDeadlineDiscard
		}
		return p
	}
	c := newChain(t, s)
	c.at(2*day, func(e *testsuite.TestWorkflowEnvironment) {
		require.Equal(t, contract.Quarantined, status(t, e).State)
		e.SignalWorkflow(contract.SignalDiscard, nil)
	})
	c.run(input())
	require.Equal(t, 1, c.inputs[1].Resumed.Held[0].Level/2, "it stands out")
}

// twoDeliveries routes to ticketing and crm; fails says how an attempt ends.
func twoDeliveries(s *script, fails func(destination string, n int) error) {
	s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
		return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing", "crm"}, Durable: []string{"crm"}}, nil
	}
	s.deliver = func(_ context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		if err := fails(in.Destination, n); err != nil {
			return contract.DeliverResult{}, err
		}
		return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
	}
}

// TestNewRunKeepsEverything: what was waived, routed, delivered and decided, and the
// wish for another go.
func TestNewRunKeepsEverything(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	twoDeliveries(s, func(to string, n int) error {
		if to == "crm" && n == 0 {
			return failure(fault.DownstreamRejected, 0)
		}
		return nil
	})
	s.store = func(int) (contract.StoreResult, error) {
		return contract.StoreResult{Budgets: contract.Budgets{DeliverSeconds: 77}}, nil
	}
	s.inspect = func(int) (contract.InspectResult, error) {
		return contract.InspectResult{Holds: holding(contract.Infected), Inspected: contract.Inspected{Scanner: "clamd", AtUnixMilli: 5}}, nil
	}
	c := newChain(t, s)
	c.signal(time.Hour, contract.SignalApprove, contract.Decision{Actor: "ada"})
	c.at(40*time.Hour, func(e *testsuite.TestWorkflowEnvironment) {
		st := status(t, e)
		require.Equal(t, "deliver to crm", st.Step)
		require.Equal(t, []contract.DeliveryStatus{{Destination: "ticketing", Done: true, Attempts: 1}, {Destination: "crm"}}, st.Deliveries)
		require.Equal(t, "ada (claimed)", st.Last.Actor)
		e.SignalWorkflow(contract.SignalRetry, nil)
	})
	out := c.run(input())
	require.Equal(t, contract.InboundEmailResult{State: contract.Delivered, Destinations: []string{"ticketing", "crm"}, Decisions: 2}, out)
	require.Equal(t, map[string]int{"ticketing": 1, "crm": 1}, s.calls.effects)
	last := s.calls.delivers[len(s.calls.delivers)-1]
	require.Equal(t, "crm", last.Destination)
	require.True(t, last.Again, "a person asked for another go")
	require.True(t, last.Released, "what was let pass stays so")
	r := c.inputs[len(c.inputs)-1].Resumed
	require.Equal(t, contract.StepDeliver, r.Step)
	require.Equal(t, []contract.Reason{contract.Infected}, r.Waived)
	require.Equal(t, []string{"a"}, r.Routes)
	require.EqualValues(t, 77, r.Budgets.DeliverSeconds)
	require.Equal(t, contract.Inspected{Scanner: "clamd", AtUnixMilli: 5}, r.Inspected)
	require.Equal(t, r.Inspected, s.calls.records[len(s.calls.records)-1].Inspected)
	require.Equal(t, []contract.ResumedDelivery{
		{Destination: "ticketing", Done: true, Attempts: 1}, {Destination: "crm", Again: true, Durable: true},
	}, r.Deliveries)
	seen := map[string]bool{}
	for _, in := range s.calls.records {
		require.False(t, seen[string(in.State)+string(in.Reason)] && in.State == contract.Quarantined, "a new run records nothing anew")
		seen[string(in.State)+string(in.Reason)] = true
	}
}

// TestSignalsWhileTheRunChanges: a decision right before and right after a new run
// begins counts once. The very moment is for the real server (deploy/dev/e2e), which
// does not let a run end past a signal; this environment would.
func TestSignalsWhileTheRunChanges(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{-time.Second, time.Second} {
		s := infectedScript()
		c := newChain(t, s)
		c.signal(4*time.Hour+after, contract.SignalApprove, contract.Decision{Actor: "ada"})
		out := c.run(input())
		require.Equal(t, contract.Delivered, out.State, after)
		require.Equal(t, 1, out.Decisions)
		require.Equal(t, ticketing, s.calls.effects)
	}
}

// TestNewRunWaits while the ledger does not know all, however long that takes.
func TestNewRunWaits(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.record = func(n int) error {
		if n < 300 {
			return failure(fault.StorageUnavailable, time.Minute)
		}
		return nil
	}
	c := newChain(t, s)
	c.signal(2*day, contract.SignalDiscard, nil)
	require.Equal(t, contract.Discarded, c.run(input()).State)
	require.Equal(t, []contract.State{contract.Quarantined, contract.Discarded}, s.calls.states())
	require.Greater(t, len(c.inputs), 1)
	require.Greater(t, c.inputs[1].Resumed.Sequence, int64(0))
}

// TestFloodOfSignals: what changes nothing cannot grow a history without end.
func TestFloodOfSignals(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.plan = func(contract.HoldInput) contract.HoldPlan { return contract.HoldPlan{Approvals: 1} }
	c := newChain(t, s)
	c.signal(time.Hour, contract.SignalEdit, contract.Decision{})
	c.at(time.Hour+time.Second, func(e *testsuite.TestWorkflowEnvironment) { e.SetCurrentHistoryLength(3000) })
	c.signal(2*time.Hour, contract.SignalDiscard, nil)
	require.Equal(t, contract.Discarded, c.run(input()).State)
	require.Len(t, c.inputs, 2)
	require.Contains(t, c.inputs[1].Resumed.Trouble, "edit must say what to change")
	require.Empty(t, s.calls.reminds)
}

// TestPlanThatCannotBeRead lets nothing go that may need more people.
func TestPlanThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.planErr = failure(fault.ConfigInvalid, 0)
	c := newChain(t, s)
	a := c.update(time.Hour, s.intend(1, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
	c.signal(2*day, contract.SignalDiscard, nil)
	c.run(input())
	require.Equal(t, 4, a.state(t).Missing)
	require.Len(t, s.calls.reminds, 2)
}
