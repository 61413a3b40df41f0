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

// intend writes an intent down and returns the decision that names it.
func (s *script) intend(id int64, r contract.IntentResult) contract.Decision {
	if s.intents == nil {
		s.intents = map[int64]contract.IntentResult{}
	}
	if r.Via == "" {
		r.Via = contract.ViaConsole
	}
	s.intents[id] = r
	return contract.Decision{Intent: id}
}

func (a *answer) state(t *testing.T) contract.DecisionResult {
	t.Helper()
	require.NoError(t, a.rejected)
	require.NoError(t, a.err)
	return a.result.(contract.DecisionResult)
}

// TestASecondPerson: three people have to approve, whatever one of them does twice, and
// a sender that is only claimed is none of them.
func TestASecondPerson(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.plan = func(contract.HoldInput) contract.HoldPlan { return plan(3) }
	approve := func(id int64, actor string) contract.Decision {
		return s.intend(id, contract.IntentResult{Action: contract.Approve, Actor: actor})
	}
	c := newChain(t, s)
	first := c.update(time.Hour, approve(1, "olga"))
	again := c.update(2*time.Hour, approve(2, "olga"))
	repeat := c.update(3*time.Hour, contract.Decision{Intent: 1})
	c.signal(5*time.Hour, contract.SignalApprove, contract.Decision{Actor: "otto"})
	claims := c.update(6*time.Hour, contract.Decision{Action: contract.Approve, Actor: "olga", Note: "it is really me"})
	c.signal(7*time.Hour, contract.SignalApprove, contract.Decision{Actor: "another"})
	c.at(2*day, func(e *testsuite.TestWorkflowEnvironment) {
		st := status(t, e)
		require.Equal(t, []contract.Approval{{Actor: "olga", Verified: true}, {Actor: "otto (claimed)"}}, st.Approvals)
		require.Equal(t, 2, st.Missing)
		require.Contains(t, st.Trouble, "does not count: more than one person has to approve")
	})
	c.update(2*day+time.Hour, approve(3, "pia"))
	last := c.update(2*day+2*time.Hour, approve(4, "quinn"))
	out := c.run(input())
	require.Equal(t, contract.Delivered, out.State)
	require.Equal(t, 4, out.Decisions)

	require.Equal(t, contract.DecisionResult{State: contract.Quarantined, Missing: 2}, first.state(t))
	require.ErrorContains(t, again.err, "olga has approved it already; 2 more people have to approve")
	require.Equal(t, contract.DecisionResult{State: contract.Quarantined, Missing: 2}, repeat.state(t), "a repeat is no other person")
	require.ErrorContains(t, claims.rejected, "does not count")
	require.ErrorContains(t, claims.rejected, "approve in the console, with mailctl or through the API; 2 more people have to approve")
	require.Equal(t, contract.DecisionResult{State: contract.Processing}, last.state(t))
	var missing []int
	for _, r := range s.calls.records {
		if r.Decision != nil {
			missing = append(missing, r.Missing)
			require.Equal(t, r.Missing == 0, r.State == contract.Processing)
		}
	}
	require.Equal(t, []int{2, 2, 1, 0}, missing, "each approval is a row of its own")
	require.Equal(t, 3, s.calls.records[0].Missing, "the ledger knows at once that one is not enough")
}

// TestOneWhoIsTwo: one operator approves in the console, and once more past our
// authentication: with a signal, with an update, under another name. It is recorded,
// answered with why it does not count, and releases nothing, in later runs as well.
func TestOneWhoIsTwo(t *testing.T) {
	t.Parallel()
	for _, claimedFirst := range []bool{false, true} {
		s := infectedScript()
		s.plan = func(contract.HoldInput) contract.HoldPlan { return plan(2) }
		c := newChain(t, s)
		verified, claimed := time.Hour, 2*time.Hour
		if claimedFirst {
			verified, claimed = claimed, verified
		}
		c.update(verified, s.intend(1, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
		other := c.update(claimed, contract.Decision{Action: contract.Approve, Actor: "another person", Note: "n"})
		c.signal(2*day, contract.SignalApprove, contract.Decision{Actor: "and another"}) // the third run
		c.at(3*day, func(e *testsuite.TestWorkflowEnvironment) {
			require.Equal(t, contract.Quarantined, status(t, e).State)
			require.Equal(t, 1, status(t, e).Missing)
			require.Empty(t, s.calls.effects)
		})
		c.signal(4*day, contract.SignalDiscard, nil)
		require.Equal(t, contract.Discarded, c.run(input()).State)
		got := other.state(t)
		require.Equal(t, contract.Quarantined, got.State)
		require.Contains(t, got.Note, "does not count")
		require.Greater(t, len(c.inputs), 1)
		var recorded []string
		for _, r := range s.calls.records {
			if r.Decision != nil && r.Decision.Action == contract.Approve && !r.Verified {
				recorded = append(recorded, r.Decision.Actor)
			}
		}
		require.Equal(t, []string{"another person (claimed)"}, recorded, "once: a flood of them is no flood of records")
	}
}

// TestTwoTokensOfOnePerson: what counts is who owns them.
func TestTwoTokensOfOnePerson(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.plan = func(contract.HoldInput) contract.HoldPlan { return plan(2) }
	approve := func(id int64, actor, person string) contract.Decision {
		return s.intend(id, contract.IntentResult{Action: contract.Approve, Actor: actor, Person: person})
	}
	c := newChain(t, s)
	c.update(time.Hour, approve(1, "ann-laptop", "ann@x.example"))
	login := c.update(2*time.Hour, approve(2, "ann@x.example", ""))
	token := c.update(3*time.Hour, approve(3, "ann-script", "ann@x.example"))
	c.update(4*time.Hour, approve(4, "bob", ""))
	require.Equal(t, contract.Delivered, c.run(input()).State)
	require.ErrorContains(t, login.err, "ann@x.example has approved it already")
	require.ErrorContains(t, token.err, "ann@x.example, the owner of ann-script, has approved it already")
}

// TestRetryTakesNoApprovalsAlong: an approval is about what was found then.
func TestRetryTakesNoApprovalsAlong(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.plan = func(contract.HoldInput) contract.HoldPlan { return plan(2) }
	c := newChain(t, s)
	c.update(time.Hour, s.intend(1, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
	c.signal(2*time.Hour, contract.SignalRetry, nil)
	second := c.update(3*time.Hour, s.intend(2, contract.IntentResult{Action: contract.Approve, Actor: "pia"}))
	c.signal(3*time.Hour+time.Minute, contract.SignalDiscard, nil) // one is enough
	require.Equal(t, contract.Discarded, c.run(input()).State)
	require.Equal(t, 1, second.state(t).Missing)
}

// TestSecondIsToldWhoWasFirst: by name, time and way.
func TestSecondIsToldWhoWasFirst(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
		return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing"}, Holds: holding(contract.ManualHold)}, nil
	}
	s.deliver = func(_ context.Context, n int, _ contract.DeliverInput) (contract.DeliverResult, error) {
		if n < 2 {
			return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, time.Hour)
		}
		return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
	}
	c := newChain(t, s)
	c.update(time.Hour, s.intend(1, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
	intent := c.update(time.Hour+time.Minute, s.intend(2, contract.IntentResult{Action: contract.Discard, Actor: "pia", State: contract.Quarantined}))
	require.Equal(t, contract.Delivered, c.run(input()).State)
	const want = "olga approved it at 11:00 UTC (1 Nov 2026) through the console; its state is retrying"
	require.ErrorContains(t, intent.err, want)
}

// TestWhoTellsTheLedger: the sender only where it said so, the decision is the email's
// end, and the ledger has recorded all that was before. Else it is the workflow.
func TestWhoTellsTheLedger(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		action  contract.Action
		records bool
		behind  bool
		another bool // delivery is being made
		sender  bool
	}{
		"the sender":               {action: contract.Discard, records: true, sender: true},
		"no sender has asked":      {action: contract.Discard},
		"it is not the end":        {action: contract.Approve, records: true},
		"the ledger is behind":     {action: contract.Discard, records: true, behind: true},
		"another delivery is made": {action: contract.Discard, records: true, another: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := infectedScript()
			s.record = func(n int) error {
				if row.behind && n < 12 {
					return failure(fault.StorageUnavailable, 0)
				}
				return nil
			}
			if row.another {
				s = newScript()
				s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
					return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"crm", "hung"}}, nil
				}
				s.deliver = func(_ context.Context, _ int, in contract.DeliverInput) (contract.DeliverResult, error) {
					if in.Destination == "crm" {
						return contract.DeliverResult{}, failure(fault.DownstreamRejected, 0)
					}
					return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, time.Hour)
				}
			}
			c := newChain(t, s)
			d := s.intend(1, contract.IntentResult{Action: row.action, Actor: "olga"})
			d.Records = row.records
			got := c.update(time.Minute, d)
			second := c.update(time.Minute, s.intend(2, contract.IntentResult{Action: contract.Discard, Actor: "pia"}))
			// Both are accepted, then the first is decided: reading an intent takes any time.
			accepted, decided := make(chan struct{}), make(chan struct{})
			second.accept = func() { close(accepted) }
			got.complete = func() { close(decided) }
			s.reading = func(intent int64) { <-map[int64]chan struct{}{1: accepted, 2: decided}[intent] }

			out := c.run(input())
			require.Equal(t, 1, out.Decisions)
			require.Equal(t, row.sender, got.state(t).Record != nil)
			require.NoError(t, second.rejected)
			require.ErrorContains(t, second.err, map[contract.Action]string{
				contract.Discard: "olga discarded it", contract.Approve: "olga approved it",
			}[row.action])
			if row.action == contract.Discard {
				require.Equal(t, contract.Discarded, out.State)
			}
			decisions := 0
			for _, r := range s.calls.records {
				if r.Decision != nil {
					decisions++
				}
			}
			require.Equal(t, !row.sender, decisions == 1)
			require.LessOrEqual(t, decisions, 1)
		})
	}
}

// TestIntents that say nothing, or that cannot be read just now, decide nothing.
func TestIntents(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	failures := 5
	s.intent = func(n int) error {
		if n < failures {
			return failure(fault.StorageUnavailable, 0)
		}
		return nil
	}
	c := newChain(t, s)
	unread := c.update(time.Hour, s.intend(1, contract.IntentResult{Action: contract.Discard, Actor: "olga"}))
	unknown := c.update(2*time.Hour, contract.Decision{Intent: 99})
	mixed := c.update(2*time.Hour, contract.Decision{Intent: 1, Actor: "root"})
	system := c.update(2*time.Hour, s.intend(3, contract.IntentResult{Action: contract.Retry, Actor: "system", Via: contract.ViaSystem}))
	approved := c.update(3*time.Hour, s.intend(4, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
	require.Equal(t, contract.Delivered, c.run(input()).State)
	require.ErrorContains(t, unread.err, "nothing was decided")
	require.ErrorContains(t, unread.err, string(fault.StorageUnavailable))
	require.ErrorContains(t, unknown.err, string(fault.DecisionRefused))
	require.ErrorContains(t, mixed.rejected, "stands alone")
	require.ErrorContains(t, system.err, "a person has to decide")
	require.Equal(t, contract.Processing, approved.state(t).State)
}

// TestRecoveredMailGoesOnBySystem: no person has to be asked.
func TestRecoveredMailGoesOnBySystem(t *testing.T) {
	t.Parallel()
	s := newScript()
	scenarioOf(t, "held_downstream_exhausted").script(s)
	inner := s.deliver
	back := false
	s.deliver = func(ctx context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		if back {
			return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
		}
		return inner(ctx, n, in)
	}
	c := newChain(t, s)
	c.at(3*day-time.Second, func(*testsuite.TestWorkflowEnvironment) { back = true })
	a := c.update(3*day, s.intend(1, contract.IntentResult{Action: contract.Retry, Actor: "system", Via: contract.ViaSystem}))
	require.Equal(t, contract.Delivered, c.run(input()).State)
	require.Equal(t, contract.Processing, a.state(t).State)
}

// TestEditTakesTheEmailBack: held at one delivery, it goes back to its routes; what was
// delivered is not sent again, what people let pass before is asked again.
func TestEditTakesTheEmailBack(t *testing.T) {
	t.Parallel()
	for _, bySignal := range []bool{true, false} {
		s := newScript()
		destinations := []string{"ticketing", "crm"}
		asked := 0
		s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
			asked++
			return contract.RouteResult{Routes: []string{"a"}, Destinations: destinations, Holds: holding(contract.ManualHold)}, nil
		}
		s.deliver = func(_ context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
			if in.Destination == "crm" {
				return contract.DeliverResult{}, failure(fault.DownstreamRejected, 0)
			}
			return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
		}
		s.edit = func(in contract.SaveEditInput) (contract.SaveEditResult, error) {
			require.Equal(t, []string{"archive", "ticketing"}, in.Edit.To)
			require.NotEmpty(t, in.Key)
			require.Equal(t, "ada (claimed)", in.Actor)
			destinations = in.Edit.To
			return contract.SaveEditResult{EditID: 5, From: contract.StepRoute}, nil
		}
		s.apply = func(n int) error {
			if n == 0 {
				return failure(fault.StorageUnavailable, 0)
			}
			return nil
		}
		c := newChain(t, s)
		c.signal(time.Hour, contract.SignalApprove, nil)
		if bySignal {
			c.signal(2*day, contract.SignalEdit, contract.Decision{Actor: "ada", Edit: &contract.Edit{To: []string{"archive", "ticketing"}}})
		} else {
			c.at(2*day-time.Second, func(*testsuite.TestWorkflowEnvironment) { destinations = []string{"archive", "ticketing"} })
			c.update(2*day, s.intend(1, contract.IntentResult{Action: contract.Edited, Actor: "ada", EditID: 5, From: contract.StepRoute}))
		}
		c.at(2*day+time.Hour, func(e *testsuite.TestWorkflowEnvironment) {
			st := status(t, e)
			require.Equal(t, contract.ManualHold, st.Reason, "the rules hold the mail as it is now")
			require.Equal(t, contract.Edited, st.Last.Action)
			e.SignalWorkflow(contract.SignalApprove, nil)
		})
		out := c.run(input())
		require.Equal(t, contract.Delivered, out.State)
		require.ElementsMatch(t, []string{"archive", "ticketing"}, out.Destinations)
		require.Equal(t, map[string]int{"archive": 1, "ticketing": 1}, s.calls.effects)
		require.Equal(t, []int64{5}, s.calls.applied)
		require.Equal(t, 2, asked)
		require.Equal(t, 1, s.calls.steps["Store"])
		for _, r := range s.calls.records {
			if d := r.Decision; d != nil && d.Action == contract.Edited {
				require.EqualValues(t, 5, r.EditID)
				require.Nil(t, d.Edit, "an edit is in its own row and nowhere else")
				require.Equal(t, !bySignal, r.Verified)
			}
		}
	}
}

// TestEditThatCannotBe is told where people look, and the email stays held.
func TestEditThatCannotBe(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.edit = func(contract.SaveEditInput) (contract.SaveEditResult, error) {
		return contract.SaveEditResult{}, failure(fault.RequestInvalid, 0)
	}
	c := newChain(t, s)
	c.signal(time.Hour, contract.SignalEdit, contract.Decision{})
	c.at(time.Hour+time.Minute, func(e *testsuite.TestWorkflowEnvironment) {
		require.Contains(t, status(t, e).Trouble, "edit must say what to change")
		e.SignalWorkflow(contract.SignalEdit, contract.Decision{Edit: &contract.Edit{To: []string{"nowhere"}}})
	})
	c.at(time.Hour+2*time.Minute, func(e *testsuite.TestWorkflowEnvironment) {
		st := status(t, e)
		require.Equal(t, contract.Quarantined, st.State)
		require.Equal(t, "The signal `edit` changed nothing: a sentence.", st.Trouble)
	})
	update := c.update(3*time.Hour, contract.Decision{Action: contract.Edited, Note: "x", Edit: &contract.Edit{To: []string{"nowhere"}}})
	c.signal(5*time.Hour, contract.SignalDiscard, nil)
	require.Equal(t, contract.Discarded, c.run(input()).State)
	require.ErrorContains(t, update.err, "a sentence")
	require.Empty(t, s.calls.applied)
}

// TestRetryFromAnEarlierStep while another delivery still waits for its destination: it is
// taken back as well, and nothing is sent twice.
func TestRetryFromAnEarlierStep(t *testing.T) {
	t.Parallel()
	s := newScript()
	back := false
	twoDeliveries(s, func(to string, _ int) error {
		switch {
		case back:
			return nil
		case to == "ticketing":
			return failure(fault.DownstreamUnavailable, 0)
		}
		return failure(fault.DownstreamRejected, 0)
	})
	c := newChain(t, s)
	c.at(time.Hour-time.Second, func(*testsuite.TestWorkflowEnvironment) { back = true })
	c.update(time.Hour, s.intend(1, contract.IntentResult{Action: contract.Retry, Actor: "olga", From: contract.StepInspect}))
	require.Equal(t, contract.Delivered, c.run(input()).State)
	require.Equal(t, map[string]int{"ticketing": 1, "crm": 1}, s.calls.effects)
	require.Equal(t, 1, s.calls.steps["Store"])
	require.Equal(t, 2, s.calls.steps["Inspect"])
	require.Equal(t, 2, s.calls.steps["Route"])
}

// TestReplayed starts an email anew from a step, and every delivery says so.
func TestReplayed(t *testing.T) {
	t.Parallel()
	for from, steps := range map[contract.Step][]int{
		"": {1, 1, 1}, contract.StepStore: {1, 1, 1}, contract.StepInspect: {0, 1, 1}, contract.StepRoute: {0, 0, 1}, contract.StepDeliver: {0, 0, 1},
	} {
		s, in := newScript(), input()
		in.Replay = &contract.Replayed{ID: 9, From: from, NewEffect: true}
		require.Equal(t, contract.Delivered, newChain(t, s).run(in).State)
		require.Equal(t, steps, []int{s.calls.steps["Store"], s.calls.steps["Inspect"], s.calls.steps["Route"]}, from)
		require.EqualValues(t, 9, s.calls.delivers[0].Replay)
		require.True(t, s.calls.delivers[0].NewEffect)
		require.Equal(t, []contract.State{contract.Processing, contract.Delivered}, s.calls.states(), "it is open again")
	}
}
