package workflows_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"mailroom/shared/contract"
	"mailroom/workflows"
)

// lastCounts are the counts that the ledger has in the end.
func (c *calls) lastCounts() map[string]int64 {
	c.Lock()
	defer c.Unlock()
	out := map[string]int64{}
	for _, in := range c.signals {
		for _, s := range in.Signals {
			out[s.Name] = max(out[s.Name], s.Count)
		}
	}
	return out
}

// TestUnknownSignalLeavesATrace: a misspelt approve changed nothing, and nothing said so.
func TestUnknownSignalLeavesATrace(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	c := newChain(t, s)
	c.signal(time.Hour, "aprove", contract.Decision{Note: "looked at it"})
	c.at(2*time.Hour, func(e *testsuite.TestWorkflowEnvironment) {
		st := status(t, e)
		require.Equal(t, contract.Quarantined, st.State)
		require.Equal(t, "The signal `aprove` changed nothing: there is no such signal. "+
			"The signals are `approve`, `retry`, `discard`, `edit`, `hold`.", st.Trouble)
		require.Equal(t, map[string]int64{"aprove": 1}, s.calls.lastCounts(), "the timeline has it while the email waits")
	})
	c.signal(3*time.Hour, contract.SignalApprove, contract.Decision{Note: "looked at it"})
	require.Equal(t, 1, c.run(input()).Decisions)
	require.Equal(t, []contract.SignalsInput{{Email: input().Email, Signals: []contract.UnknownSignal{{
		Name: "aprove", Count: 1,
		FirstUnixMilli: c.start.Add(time.Hour).UnixMilli(), LastUnixMilli: c.start.Add(time.Hour).UnixMilli(),
	}}}}, s.calls.signals)
}

// TestFloodOfUnknownSignals: what is written of it does not grow with it, and no name is a
// way into what people read.
func TestFloodOfUnknownSignals(t *testing.T) {
	t.Parallel()
	counted := 0
	s := infectedScript()
	e := env(t, s)
	options := patient()
	options.Interceptors = append(options.Interceptors[:0:0], workflows.NewSignalInterceptor(func() { counted++ }))
	e.SetWorkerOptions(options)
	for part := range 25 {
		e.RegisterDelayedCallback(func() {
			for range 80 {
				e.SignalWorkflow("aprove", nil)
			}
			for i := range 20 {
				e.SignalWorkflow(fmt.Sprintf("__temporal_%d_%d`**\n%s", part, i, strings.Repeat("x", 5000)), []byte{1})
			}
		}, time.Hour+time.Duration(part)*time.Second)
	}
	e.RegisterDelayedCallback(func() {
		require.Less(t, len(status(t, e).Trouble), 300)
		e.SignalWorkflow(contract.SignalDiscard, nil)
	}, 2*time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())

	require.Equal(t, 2500, counted)
	require.Less(t, s.calls.steps["RecordSignals"], 20)
	counts := s.calls.lastCounts()
	require.Len(t, counts, contract.MaxUnknownSignals+1)
	require.EqualValues(t, 2000, counts["aprove"], "the end has the whole number")
	require.EqualValues(t, 500-7, counts[""])
	for name := range counts {
		require.LessOrEqual(t, len(name), contract.MaxSignalName)
		require.NotContains(t, name, "`")
		require.NotContains(t, name, "\n")
	}
}

// TestUnknownSignalOutlivesARun: what a run has counted goes to the next.
func TestUnknownSignalOutlivesARun(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	c := newChain(t, s)
	c.signal(time.Hour, "aprove", nil)
	c.signal(3*day, "aprove", nil)
	c.signal(20*day, contract.SignalDiscard, nil)
	c.run(input())
	require.Greater(t, len(c.inputs), 2, "several runs")
	require.EqualValues(t, 2, s.calls.lastCounts()["aprove"])
}

// TestUnknownSignalWaitsForTheLedger: the hold goes on in a new run once it is written.
func TestUnknownSignalWaitsForTheLedger(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.signals = failing(3, failure("storage_unavailable", 0), struct{}{})
	c := newChain(t, s)
	c.signal(time.Hour, "aprove", nil)
	c.signal(20*day, contract.SignalDiscard, nil)
	require.Equal(t, contract.Discarded, c.run(input()).State)
	require.EqualValues(t, 1, s.calls.lastCounts()["aprove"])
}
