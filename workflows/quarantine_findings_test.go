package workflows_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// TestHeldAgainHoweverItIsRunAgain: each kind of hold, each way to run the email again,
// and whether or not the steps find today what they found then: it is held again, and
// leaves once two people have let it pass.
func TestHeldAgainHoweverItIsRunAgain(t *testing.T) {
	t.Parallel()
	for _, k := range kindsOfHold() {
		for _, w := range waysToRunAgain() {
			for _, gone := range []bool{false, true} {
				name := string(k.at) + " " + string(k.reason) + ", " + w.name
				if gone {
					name += ", no longer found"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					b, in := k.held()
					w.first(t, b, in)
					require.Empty(t, b.calls.effects)
					if gone {
						clear(b.found)
					}
					c := newChain(t, b.script)
					c.at(30*time.Minute, func(e *testsuite.TestWorkflowEnvironment) {
						st := status(t, e)
						require.Equal(t, contract.Quarantined, st.State)
						require.Equal(t, k.reason, st.Reason)
						require.Equal(t, 2, st.Missing, "who approved before the discard does not count again")
					})
					first := c.update(time.Hour, b.intend(11, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
					c.at(90*time.Minute, func(*testsuite.TestWorkflowEnvironment) { require.Empty(t, b.calls.effects) })
					c.update(2*time.Hour, b.intend(12, contract.IntentResult{Action: contract.Approve, Actor: "pia"}))
					require.Equal(t, contract.Delivered, c.run(w.again(in)).State)
					require.Equal(t, 1, first.state(t).Missing)
					require.Equal(t, ticketing, b.calls.effects)
					for _, f := range b.findings() {
						require.True(t, f.Closed(), f)
					}
				})
			}
		}
	}
}

// TestHeldMailIsNotTakenPastItsHold: a batch decision, a replay of held mail, a retry
// from a later step and an edit each run the step again that holds it.
func TestHeldMailIsNotTakenPastItsHold(t *testing.T) {
	t.Parallel()
	ways := map[string]contract.IntentResult{
		"a batch that approves":      {Action: contract.Approve, Actor: "olga", Via: contract.ViaReplay},
		"a replay from routing":      {Action: contract.Retry, Actor: "olga", Via: contract.ViaReplay, From: contract.StepRoute, Replay: &contract.Replayed{ID: 4, From: contract.StepRoute}},
		"a replay from the raw mail": {Action: contract.Retry, Actor: "olga", Via: contract.ViaReplay, From: contract.StepStore, Replay: &contract.Replayed{ID: 4, From: contract.StepStore}},
		"a retry from delivery":      {Action: contract.Retry, Actor: "olga", From: contract.StepDeliver},
		"an edit of destinations":    {Action: contract.Edited, Actor: "olga", EditID: 5, From: contract.StepRoute},
		"an edit of what is dropped": {Action: contract.Edited, Actor: "olga", EditID: 5, From: contract.StepInspect},
		"an edit of how it is read":  {Action: contract.Edited, Actor: "olga", EditID: 5, From: contract.StepStore},
	}
	for _, k := range kindsOfHold() {
		for name, r := range ways {
			t.Run(string(k.at)+" "+string(k.reason)+", "+name, func(t *testing.T) {
				t.Parallel()
				b, in := k.held()
				c := newChain(t, b.script)
				c.update(time.Hour, b.intend(1, r))
				c.at(2*time.Hour, func(e *testsuite.TestWorkflowEnvironment) {
					require.Equal(t, k.reason, status(t, e).Reason)
					require.Positive(t, status(t, e).Missing)
				})
				c.signal(3*time.Hour, contract.SignalDiscard, nil)
				require.Equal(t, contract.Discarded, c.run(in).State)
				require.Empty(t, b.calls.delivers)
			})
		}
	}
}

// TestTerminatedBeforeItsScanIsInspected: whatever step is asked for.
func TestTerminatedBeforeItsScanIsInspected(t *testing.T) {
	t.Parallel()
	for content, want := range map[string][]int{"as it came": {0, 1, 1}, "": {1, 1, 1}} {
		b, in := newLedgerBook(), input()
		b.content = content
		in.Replay = &contract.Replayed{ID: 3, From: contract.StepRoute}
		require.Equal(t, contract.Delivered, newChain(t, b.script).run(in).State)
		require.Equal(t, want, []int{b.calls.steps["Store"], b.calls.steps["Inspect"], b.calls.steps["Route"]})
		require.Equal(t, "as it came", b.calls.delivers[0].Inspected)
	}
}

// TestHoldWithoutFindings: a hold that the run before was in, without a record
// of findings, is known to the ledger once it is discarded.
func TestHoldWithoutFindings(t *testing.T) {
	t.Parallel()
	for _, a := range []contract.Action{contract.Discard, contract.Approve} {
		b, in := newLedgerBook(), input()
		b.content = "as it came"
		in.Resumed = &contract.Resumed{
			Step: contract.StepInspect, Sequence: 1,
			Held: []contract.ResumedHold{{Holds: holding(contract.Infected), SinceUnixMilli: 1, Plan: plan(1)}},
		}
		c := newChain(t, b.script)
		c.update(time.Hour, b.intend(1, contract.IntentResult{Action: a, Actor: "olga"}))
		out := c.run(in)
		require.Equal(t, contract.Infected, b.findings()[0].Reason)
		require.Equal(t, a == contract.Discard, b.findings()[0].Restored())
		require.Equal(t, a == contract.Approve, out.State == contract.Delivered)
		require.Equal(t, out.State == contract.Delivered, b.calls.steps["Inspect"] == 1, "it is inspected as it is now")
	}
}

// TestApprovedStaysApproved: a replay does not ask again about what enough people have
// let pass, unless its step is run again and finds it once more.
func TestApprovedStaysApproved(t *testing.T) {
	t.Parallel()
	for _, k := range kindsOfHold() {
		b, in := k.held()
		c := newChain(t, b.script)
		c.update(time.Hour, b.intend(1, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
		c.update(2*time.Hour, b.intend(2, contract.IntentResult{Action: contract.Approve, Actor: "pia"}))
		require.Equal(t, contract.Delivered, c.run(in).State)
		i := slices.IndexFunc(b.findings(), func(f contract.Finding) bool { return f.State == contract.FindingApproved })
		require.Len(t, b.findings()[i].Approvals, 2, k)
		for from, held := range map[contract.Step]bool{
			contract.StepStore: !k.ingress, contract.StepRoute: k.at == contract.StepRoute,
		} {
			in := input()
			in.Replay = &contract.Replayed{ID: 3, From: from, NewEffect: true}
			c := newChain(t, b.script)
			if held {
				c.signal(time.Hour, contract.SignalDiscard, nil)
			}
			require.Equal(t, held, c.run(in).State == contract.Discarded, "%v from %s", k, from)
			if k.at == contract.StepInspect && from == contract.StepRoute {
				require.True(t, b.calls.delivers[len(b.calls.delivers)-1].Released)
			}
			b.forget(func(r contract.RecordInput) bool { return r.Decision == nil || r.Decision.Intent != 0 })
			if held {
				break // what was open then is open now
			}
		}
	}
}

// TestWhatAStepNoLongerFindsIsPassed: a rule that was missing and a scanner that was
// unavailable are no judgement: it is enough that their step passes.
func TestWhatAStepNoLongerFindsIsPassed(t *testing.T) {
	t.Parallel()
	for r, at := range map[contract.Reason]contract.Step{
		contract.Unroutable: contract.StepRoute, contract.ScannerUnavailable: contract.StepInspect, contract.Internal: contract.StepStore,
	} {
		b, in := newLedgerBook(), input()
		b.found[at] = holding(r)
		c := newChain(t, b.script)
		c.signal(time.Hour, contract.SignalDiscard, nil)
		require.Equal(t, contract.Discarded, c.run(in).State)
		clear(b.found)
		in.Replay = &contract.Replayed{ID: 3, From: contract.StepRoute}
		inspections := b.calls.steps["Inspect"]
		require.Equal(t, contract.Delivered, newChain(t, b.script).run(in).State)
		require.Equal(t, at != contract.StepRoute, b.calls.steps["Inspect"] > inspections, r)
	}
}

// TestScannerUnavailableAndLetGo: an approval of mail that could not be scanned lets it go as it is.
func TestScannerUnavailableAndLetGo(t *testing.T) {
	t.Parallel()
	b := newLedgerBook()
	stored := b.store
	b.store = func(n int) (contract.StoreResult, error) {
		out, err := stored(n)
		out.Budgets.ScanSeconds = 2
		return out, err
	}
	b.inspect = func(int) (contract.InspectResult, error) {
		return contract.InspectResult{}, failure(fault.ScannerUnavailable, 0)
	}
	c := newChain(t, b.script)
	c.update(time.Hour, b.intend(1, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
	c.at(90*time.Minute, func(*testsuite.TestWorkflowEnvironment) { require.Empty(t, b.calls.effects) })
	c.update(2*time.Hour, b.intend(2, contract.IntentResult{Action: contract.Approve, Actor: "pia"}))
	require.Equal(t, contract.Delivered, c.run(input()).State)
	require.Equal(t, ticketing, b.calls.effects)
}

// TestLetPassIsWhatWasSeen: a later inspection that looks at something else, or finds
// something else, is a new question.
func TestLetPassIsWhatWasSeen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*ledgerBook){
		"the same":      func(*ledgerBook) {},
		"other content": func(b *ledgerBook) { b.content = "read by a newer parser" },
		"another find": func(b *ledgerBook) {
			b.found[contract.StepInspect] = []contract.Hold{{Reason: contract.Infected, Detail: "attachment 2 of 2"}}
		},
	} {
		b := newLedgerBook()
		b.found[contract.StepInspect], b.found[contract.StepRoute] = holding(contract.Infected), holding(contract.Unroutable)
		c := newChain(t, b.script)
		c.update(time.Hour, b.intend(1, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
		c.update(2*time.Hour, b.intend(2, contract.IntentResult{Action: contract.Approve, Actor: "pia"}))
		c.at(3*time.Hour-time.Minute, func(e *testsuite.TestWorkflowEnvironment) {
			require.Equal(t, contract.Unroutable, status(t, e).Reason)
			change(b)
			b.found[contract.StepRoute] = nil
		})
		c.update(3*time.Hour, b.intend(3, contract.IntentResult{Action: contract.Retry, Actor: "olga", From: contract.StepStore}))
		held := name != "the same"
		if held {
			c.at(4*time.Hour, func(e *testsuite.TestWorkflowEnvironment) {
				require.Equal(t, contract.Infected, status(t, e).Reason, name)
				require.Equal(t, 2, status(t, e).Missing)
			})
			c.signal(5*time.Hour, contract.SignalDiscard, nil)
		}
		require.Equal(t, held, c.run(input()).State == contract.Discarded, name)
	}
}

// TestEditIsJudgedAnew: what people let pass they let pass as it was. An edit of one
// person that changes it is held again, and a replay does not let it pass either.
func TestEditIsJudgedAnew(t *testing.T) {
	t.Parallel()
	for _, k := range kindsOfHold() {
		for from, again := range map[contract.Step]bool{
			contract.StepStore:   !k.ingress || k.reason == contract.RecipientForeign,
			contract.StepInspect: k.at != contract.StepStore || k.reason == contract.RecipientForeign,
		} {
			b, in := k.held()
			foreign := k.reason == contract.RecipientForeign // found by routing as well, while no person has let it pass
			if foreign {
				b.found[contract.StepRoute] = holding(contract.RecipientForeign)
			}
			after := b.route
			b.route = func(n int, in contract.RouteInput) (contract.RouteResult, error) {
				out, err := after(n, in)
				if len(b.calls.applied) == 0 {
					out.Holds = append(out.Holds, holding(contract.Unroutable)...)
				}
				return out, err
			}
			c := newChain(t, b.script)
			c.update(time.Hour, b.intend(1, contract.IntentResult{Action: contract.Approve, Actor: "olga"}))
			c.update(2*time.Hour, b.intend(2, contract.IntentResult{Action: contract.Approve, Actor: "pia"}))
			c.update(3*time.Hour, b.intend(3, contract.IntentResult{Action: contract.Edited, Actor: "olga", EditID: 5, From: from}))
			if again {
				c.at(4*time.Hour, func(e *testsuite.TestWorkflowEnvironment) {
					require.Equal(t, k.reason, status(t, e).Reason, "%v from %s", k, from)
					require.Equal(t, 2, status(t, e).Missing)
				})
				c.signal(5*time.Hour, contract.SignalDiscard, nil)
			}
			require.Equal(t, again, c.run(in).State == contract.Discarded, "%v from %s", k, from)
			if !again {
				continue
			}
			edited := false
			b.forget(func(r contract.RecordInput) bool { // terminated right after the edit was decided
				before := !edited
				edited = edited || r.Decision != nil && r.Decision.Action == contract.Edited
				return before
			})
			in.Hold, in.Replay = nil, &contract.Replayed{ID: 3, From: contract.StepRoute, NewEffect: true}
			sent := len(b.calls.delivers)
			c = newChain(t, b.script)
			c.at(time.Hour, func(e *testsuite.TestWorkflowEnvironment) { require.Equal(t, k.reason, status(t, e).Reason, k) })
			c.signal(2*time.Hour, contract.SignalDiscard, nil)
			require.Equal(t, contract.Discarded, c.run(in).State)
			require.Len(t, b.calls.delivers, sent)
		}
	}
}

// TestContentThatChangesMeanwhile: an edit that the ledger has and a run that
// was reset does not know of.
func TestContentThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	b := newLedgerBook()
	route := b.route
	b.route = func(n int, in contract.RouteInput) (contract.RouteResult, error) {
		if n == 0 {
			b.content = "changed behind its back"
			b.found[contract.StepInspect] = holding(contract.Infected)
		}
		return route(n, in)
	}
	c := newChain(t, b.script)
	c.at(time.Hour, func(e *testsuite.TestWorkflowEnvironment) {
		require.Equal(t, contract.Infected, status(t, e).Reason)
	})
	c.signal(2*time.Hour, contract.SignalDiscard, nil)
	require.Equal(t, contract.Discarded, c.run(input()).State)
	require.Empty(t, b.calls.effects)
	require.Equal(t, 2, b.calls.steps["Inspect"])
}

// TestLedgerThatNeverReleases asks a person in the end.
func TestLedgerThatNeverReleases(t *testing.T) {
	t.Parallel()
	b := newLedgerBook()
	b.deliver = func(context.Context, int, contract.DeliverInput) (contract.DeliverResult, error) {
		return contract.DeliverResult{}, failure(fault.NotReleased, 0)
	}
	c := newChain(t, b.script)
	c.at(time.Hour, func(e *testsuite.TestWorkflowEnvironment) { require.Equal(t, contract.Internal, status(t, e).Reason) })
	c.signal(2*time.Hour, contract.SignalDiscard, nil)
	require.Equal(t, contract.Discarded, c.run(input()).State)
	require.Equal(t, 4, b.calls.steps["Inspect"])
}

// TestBatchApprovesNoReasonThatItDoesNotName: many are approved for one reason. What is
// held for another one as well, and is listed under the first, once left with it.
func TestBatchApprovesNoReasonThatItDoesNotName(t *testing.T) {
	t.Parallel()
	b := newLedgerBook()
	b.plan = func(contract.HoldInput) contract.HoldPlan { return plan(1) }
	b.found[contract.StepInspect] = []contract.Hold{
		{Reason: contract.AttachmentMismatch, Detail: "attachment 1 of 2"}, {Reason: contract.Infected, Detail: "attachment 2 of 2"},
	}
	batch := func(only contract.Reason) contract.IntentResult {
		return contract.IntentResult{Action: contract.Approve, Actor: "olga", Via: contract.ViaReplay, Only: only}
	}
	c := newChain(t, b.script)
	first := c.update(time.Hour, b.intend(1, batch(contract.AttachmentMismatch)))
	second := c.update(2*time.Hour, b.intend(2, batch(contract.Infected)))
	c.at(3*time.Hour, func(e *testsuite.TestWorkflowEnvironment) {
		require.Equal(t, contract.Quarantined, status(t, e).State)
		require.Empty(t, b.calls.effects)
	})
	single := b.intend(3, contract.IntentResult{Action: contract.Approve, Actor: "olga"})
	c.update(4*time.Hour, single)
	require.Equal(t, contract.Delivered, c.run(input()).State)
	require.ErrorContains(t, first.err, "it is held as infected as well, and attachment_mismatch alone is approved for many")
	require.ErrorContains(t, second.err, string(fault.DecisionRefused))
	require.Equal(t, 1, b.calls.steps["Inspect"])
}
