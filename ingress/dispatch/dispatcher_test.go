package dispatch

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/postgres"
)

// newTestDispatcher returns a dispatcher that does not run yet.
func newTestDispatcher(t *testing.T, ledger *ingresstest.Ledger, workflows *ingresstest.Workflows) (*Dispatcher, *ingresstest.Log) {
	t.Helper()
	log := &ingresstest.Log{}
	return openDispatcher(t, config.Starts{}, ledger, workflows, log), log
}

func fill(ledger *ingresstest.Ledger, rows int) {
	for i := range rows {
		ledger.Add(ingresstest.RowOf("evt_"+strconv.Itoa(i)), 0)
	}
}

// TestStartOptions: what Temporal is told of every email.
func TestStartOptions(t *testing.T) {
	t.Parallel()
	ledger, workflows := &ingresstest.Ledger{}, &ingresstest.Workflows{}
	row := ingresstest.RowOf("evt_1")
	row.Tenant, row.BodySHA256 = "default", [32]byte{0xab, 31: 0x01}
	ledger.Add(row, 0)
	s, _ := newTestDispatcher(t, ledger, workflows)
	tryStart(t, s, ledger, 1)

	o := workflows.Starts[0]
	require.Equal(t, "evt_1", o.ID)
	require.Equal(t, contract.TaskQueue, o.TaskQueue)
	require.Equal(t, enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, o.WorkflowIDReusePolicy)
	require.True(t, o.WorkflowExecutionErrorWhenAlreadyStarted)
	require.Equal(t, "mailparse · default", o.StaticSummary)
	state, ok := o.TypedSearchAttributes.GetKeyword(temporal.NewSearchAttributeKeyKeyword(contract.AttrState))
	require.True(t, ok)
	require.Equal(t, "processing", state)
	require.Equal(t, 3, o.TypedSearchAttributes.Size())
	require.Equal(t, map[string]any{"body_sha256": "ab" + strings.Repeat("00", 30) + "01"}, o.Memo)
}

// TestSweepStartsWhatOthersLeft: more rows than the queue holds, none of them ours.
func TestSweepStartsWhatOthersLeft(t *testing.T) {
	t.Parallel()
	ledger, workflows := &ingresstest.Ledger{}, &ingresstest.Workflows{}
	fill(ledger, 3*queueMost)
	// Which of the starts in flight comes first is the scheduler's choice: none ends
	// before the oldest row is among them.
	oldest := make(chan struct{})
	workflows.SetAnswer(func(ctx context.Context, id string) error {
		if id == "evt_0" {
			close(oldest)
		}
		select {
		case <-oldest:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	s, _ := newTestDispatcher(t, ledger, workflows)
	s.Start()
	ingresstest.Eventually(t, func() bool { return ledger.Started() == 3*queueMost }, "all are started")
	ingresstest.Eventually(t, s.Reserve, "no row is before a new one any more")
	s.Cancel(1)
	s.Stop()
	require.Len(t, workflows.IDs(), 3*queueMost, "each once")
	require.Contains(t, workflows.IDs()[:firstStarts], "evt_0", "the oldest first")
	require.LessOrEqual(t, workflows.Peak(), mostStarts)
	require.Zero(t, s.queue.reserved.Load())
	require.Zero(t, s.pacer.inFlight)
	require.Equal(t, 3*queueMost, ingresstest.Counted(t, s.metrics.starts.WithLabelValues("started")))
}

// TestStartsWaitForTheWorkers: what the workers have no time for stays in the
// inbox, and goes on when they have.
func TestStartsWaitForTheWorkers(t *testing.T) {
	t.Parallel()
	ledger, workflows := &ingresstest.Ledger{Busy: true}, &ingresstest.Workflows{}
	fill(ledger, 3*mostAhead)
	s, _ := newTestDispatcher(t, ledger, workflows)
	s.Start()
	ingresstest.Eventually(t, func() bool { return ledger.Started() >= mostAhead }, "as many as may be ahead are started")
	begun := s.metrics.starts.WithLabelValues("started")
	require.Never(t, func() bool { return ingresstest.Counted(t, begun) > mostAhead }, 20*countEvery, countEvery, "and no more")
	ledger.SetBusy(false)
	ingresstest.Eventually(t, func() bool { return ledger.Started() == 3*mostAhead }, "the rest follows")
	s.Stop()
}

func TestAlreadyStartedIsSuccess(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	workflows := &ingresstest.Workflows{Answer: func(context.Context, string) error {
		return serviceerror.NewWorkflowExecutionAlreadyStarted("it runs", "request", "run")
	}}
	fill(ledger, 5)
	s, _ := newTestDispatcher(t, ledger, workflows)
	s.Start()
	ingresstest.Eventually(t, func() bool { return ledger.Started() == 5 }, "all are marked")
	s.Stop()
	require.Equal(t, 5, ingresstest.Counted(t, s.metrics.starts.WithLabelValues("already_started")))
	require.Equal(t, gobreaker.StateClosed, s.breaker.State())
}

// TestTemporalHangs: a start that gets no answer ends by its deadline.
func TestTemporalHangs(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	var calls atomic.Int64
	workflows := &ingresstest.Workflows{Answer: func(ctx context.Context, _ string) error {
		if calls.Add(1) > 1 {
			return nil
		}
		deadline, ok := ctx.Deadline()
		if !ok || time.Until(deadline) > startTimeout {
			return errors.New("no deadline")
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	fill(ledger, 1)
	s, _ := newTestDispatcher(t, ledger, workflows)
	s.Start()
	ingresstest.Eventually(t, func() bool { return ledger.Started() == 1 }, "it is tried again")
	s.Stop()
	require.Equal(t, int64(2), calls.Load())
}

// TestRefusedRowRests: what Temporal never takes does not keep the others waiting.
func TestRefusedRowRests(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	workflows := &ingresstest.Workflows{Answer: func(_ context.Context, id string) error {
		if id == "evt_0" {
			return serviceerror.NewInvalidArgument("no")
		}
		return nil
	}}
	fill(ledger, 20)
	s, log := newTestDispatcher(t, ledger, workflows)
	s.Start()
	ingresstest.Eventually(t, func() bool { return ledger.Started() == 19 }, "the others are started")
	s.Stop()
	require.Contains(t, log.String(), "workflow.refused")
	require.Greater(t, time.Until(ledger.Rows[0].Until), refusedPause/2)
}

// TestStartsGiveWay: while accepting is crowded there is one start at a time, and
// not none.
func TestStartsGiveWay(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	workflows := &ingresstest.Workflows{}
	fill(ledger, 40)
	s, _ := newTestDispatcher(t, ledger, workflows)
	s.Yield(time.Now().Add(time.Hour))
	began := time.Now()
	s.Start()
	ingresstest.Eventually(t, func() bool { return len(workflows.IDs()) >= 4 }, "it goes on, slowly")
	require.GreaterOrEqual(t, time.Since(began), 3*yieldPace)
	require.Less(t, len(workflows.IDs()), 40)
	require.Equal(t, 1, workflows.Peak())
	s.Yield(time.Now())
	ingresstest.Eventually(t, func() bool { return ledger.Started() == 40 }, "then at full speed")
	s.Stop()
}

// TestStopReleasesClaims: starts in flight finish, the rest goes back at once.
func TestStopReleasesClaims(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	release := make(chan struct{})
	workflows := &ingresstest.Workflows{Started: make(chan string, 100), Answer: func(context.Context, string) error {
		<-release
		return nil
	}}
	fill(ledger, 50)
	s, _ := newTestDispatcher(t, ledger, workflows)
	s.Start()
	for range firstStarts {
		<-workflows.Started
	}
	stopped := make(chan struct{})
	go func() { s.Stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("stopped with starts in flight")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	<-stopped
	require.Equal(t, firstStarts, ledger.Started())
	require.Equal(t, 50-firstStarts, ledger.Count(func(r *ingresstest.Row) bool { return !r.Started && !time.Now().Before(r.Until) }),
		"any process may claim them now")
	require.Zero(t, s.queue.reserved.Load())
}

func TestExpiredClaimIsNotStarted(t *testing.T) {
	t.Parallel()
	ledger, workflows := &ingresstest.Ledger{}, &ingresstest.Workflows{}
	ledger.Add(ingresstest.RowOf("evt_0"), time.Hour) // claimed by another process
	ledger.Rows[0].Until = time.Now().Add(time.Hour)
	s, _ := newTestDispatcher(t, ledger, workflows)
	require.True(t, s.Reserve())
	s.Submit(ledger.Rows[0].Waiting, time.Now().Add(-time.Second))
	s.Start()
	ingresstest.Eventually(t, func() bool { return s.queue.reserved.Load() == 0 }, "it leaves the queue")
	s.Stop()
	require.Empty(t, workflows.IDs())
}

func TestReservationsAreBounded(t *testing.T) {
	t.Parallel()
	s, _ := newTestDispatcher(t, &ingresstest.Ledger{}, &ingresstest.Workflows{})
	require.True(t, s.Reserve())
	s.Cancel(1)
	s.pacer.took = time.Millisecond // Temporal is fast
	for range queueMost {
		require.True(t, s.Reserve())
	}
	require.False(t, s.Reserve())
	s.Cancel(queueMost)
	s.SweepSoon()
	s.pacer.took = 40 * time.Millisecond // a hundred a second, four at once
	for range 100 / freshShare {
		require.True(t, s.Reserve(), "what can be started within a second")
	}
	require.False(t, s.Reserve(), "older rows wait as well")
	s.Cancel(100 / freshShare)
	s.pacer.took = time.Second
	require.True(t, s.Reserve())
	require.False(t, s.Reserve(), "a slow Temporal is no reason to hold claims")
	s.Cancel(1)
}

// TestSweepSurvivesErrors: the inbox cannot be read for a while.
func TestSweepSurvivesErrors(t *testing.T) {
	t.Parallel()
	ledger, workflows := &ingresstest.Ledger{ClaimErr: ingresstest.ErrUnavailable}, &ingresstest.Workflows{}
	fill(ledger, 3)
	s, log := newTestDispatcher(t, ledger, workflows)
	s.Start()
	ingresstest.Eventually(t, func() bool { return len(log.String()) > 0 }, "it is told")
	require.Zero(t, s.queue.reserved.Load())
	ledger.Set(func(l *ingresstest.Ledger) { l.ClaimErr = nil })
	ingresstest.Eventually(t, func() bool { return ledger.Started() == 3 }, "all are started")
	s.Stop()
}

var _ Inbox = (*postgres.Inbox)(nil)
