package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/workflows"
)

// chain is one email through all the runs of its workflow, in the time-skipping
// environment: each run begins, as another worker's would, with what the one before
// it left, and nothing else of it.
type chain struct {
	t      *testing.T
	script *script
	start  time.Time
	now    time.Time
	events []*event
	inputs []contract.InboundEmailInput // of each run
}

// event is what comes from outside at a time after the start.
type event struct {
	after time.Duration
	do    func(e *testsuite.TestWorkflowEnvironment)
	done  bool
}

func newChain(t *testing.T, s *script) *chain {
	t.Helper()
	start := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	return &chain{t: t, script: s, start: start, now: start}
}

// at lets something happen at a time after the start.
func (c *chain) at(after time.Duration, do func(e *testsuite.TestWorkflowEnvironment)) {
	c.events = append(c.events, &event{after: after, do: do})
}

// signal sends a signal at a time after the start.
func (c *chain) signal(after time.Duration, name string, d any) {
	c.at(after, func(e *testsuite.TestWorkflowEnvironment) { e.SignalWorkflow(name, d) })
}

// update sends a decision at a time after the start; the answer is there once the chain is over.
func (c *chain) update(after time.Duration, d contract.Decision) *answer {
	a := &answer{}
	c.at(after, func(e *testsuite.TestWorkflowEnvironment) { e.UpdateWorkflow(contract.UpdateDecide, "", a, d) })
	return a
}

// run goes on until the email has come to its end.
func (c *chain) run(in contract.InboundEmailInput) contract.InboundEmailResult {
	c.t.Helper()
	for {
		require.Less(c.t, len(c.inputs), 200, "too many runs")
		c.inputs = append(c.inputs, in)
		e := env(c.t, c.script)
		e.SetStartTime(c.now)
		for _, ev := range c.events {
			if !ev.done { // one that came as a run ended goes to the next
				e.RegisterDelayedCallback(func() { ev.done = true; ev.do(e) }, max(c.start.Add(ev.after).Sub(c.now), 0))
			}
		}
		e.ExecuteWorkflow(workflows.InboundEmail, in)
		require.True(c.t, e.IsWorkflowCompleted())
		c.now = e.Now()
		err := e.GetWorkflowError()
		var again *workflow.ContinueAsNewError
		if !errors.As(err, &again) {
			require.NoError(c.t, err)
			var out contract.InboundEmailResult
			require.NoError(c.t, e.GetWorkflowResult(&out))
			for _, ev := range c.events {
				require.True(c.t, ev.done, "the email ended at %s, before %s", c.now.Sub(c.start), ev.after)
			}
			return out
		}
		require.Equal(c.t, contract.InboundEmailWorkflow, again.WorkflowType.Name)
		in = contract.InboundEmailInput{}
		require.NoError(c.t, converter.GetDefaultDataConverter().FromPayloads(again.Input, &in))
		require.NotNil(c.t, in.Resumed)
	}
}
