package ingress

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/postgres"
)

// newTestStarter gives a starter that does not run yet.
func newTestStarter(t *testing.T, ledger *memoryLedger, workflows *fakeWorkflows) (*starter, *lines) {
	t.Helper()
	m, err := newMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	log := &lines{}
	return newStarter(config.Starts{}, ledger, workflows, workflows, testMemos, m, log.logger(), time.Now), log
}

func fill(ledger *memoryLedger, rows int) {
	for i := range rows {
		ledger.accept(rowOf("evt_"+strconv.Itoa(i)), 0)
	}
}

func TestStartOptions(t *testing.T) {
	t.Parallel()
	o := startOptions(contract.Email{WorkflowID: "evt_1", Source: "mailparse", Tenant: "default", EventID: "evt_1"}, [32]byte{0xab, 31: 0x01})
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

// TestAcceptedRowIsStartedAtOnce: the row that a request made is started by the
// same process, once, without a sweep.
func TestAcceptedRowIsStartedAtOnce(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	for i := range 10 {
		require.Equal(t, 200, d.send(t, mailOf("evt_"+strconv.Itoa(i))).status)
	}
	eventually(t, func() bool { return d.ledger.started() == 10 }, "all are started")
	require.NoError(t, d.stop())
	require.Len(t, d.workflows.ids(), 10)
	require.Equal(t, 10, d.ledger.count(func(r *memoryRow) bool { return r.Claim }), "each was claimed before its commit")
	in := d.workflows.inputs[0]
	require.Equal(t, d.ledger.rows[in.Email.ID-1].waiting.Email, in.Email)
	require.Equal(t, d.ledger.rows[in.Email.ID-1].ReceivedAt.UnixMilli(), in.ReceivedAtUnixMilli)
}

// TestSweepStartsWhatOthersLeft: more rows than the queue holds, none of them ours.
func TestSweepStartsWhatOthersLeft(t *testing.T) {
	t.Parallel()
	ledger, workflows := &memoryLedger{}, &fakeWorkflows{}
	fill(ledger, 3*startQueue)
	// Which of the starts in flight comes first is the scheduler's choice: none ends
	// before the oldest row is among them.
	oldest := make(chan struct{})
	workflows.setAnswer(func(ctx context.Context, id string) error {
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
	s, _ := newTestStarter(t, ledger, workflows)
	s.start()
	eventually(t, func() bool { return ledger.started() == 3*startQueue }, "all are started")
	eventually(t, s.reserve, "nobody is before a new row any more")
	s.cancel(1)
	s.stop()
	require.Len(t, workflows.ids(), 3*startQueue, "each once")
	require.Contains(t, workflows.ids()[:firstStarts], "evt_0", "the oldest first")
	require.LessOrEqual(t, workflows.most, mostStarts)
	require.Empty(t, s.places)
	require.Zero(t, s.limiter.inFlight)
	require.Equal(t, 3*startQueue, counted(t, s.metrics.starts.WithLabelValues("started")))
}

// TestStartsWaitForTheWorkers: what the workers have no time for stays in the
// inbox, and goes on when they have.
func TestStartsWaitForTheWorkers(t *testing.T) {
	t.Parallel()
	ledger, workflows := &memoryLedger{busy: true}, &fakeWorkflows{}
	fill(ledger, 3*mostAhead)
	s, _ := newTestStarter(t, ledger, workflows)
	s.start()
	eventually(t, func() bool { return ledger.started() >= mostAhead }, "as many as may be ahead are started")
	begun := s.metrics.starts.WithLabelValues("started")
	require.Never(t, func() bool { return counted(t, begun) > mostAhead }, 20*lookEvery, lookEvery, "and no more")
	ledger.setBusy(false)
	eventually(t, func() bool { return ledger.started() == 3*mostAhead }, "the rest follows")
	s.stop()
}

func TestAlreadyStartedIsSuccess(t *testing.T) {
	t.Parallel()
	ledger := &memoryLedger{}
	workflows := &fakeWorkflows{answer: func(context.Context, string) error {
		return serviceerror.NewWorkflowExecutionAlreadyStarted("it runs", "request", "run")
	}}
	fill(ledger, 5)
	s, _ := newTestStarter(t, ledger, workflows)
	s.start()
	eventually(t, func() bool { return ledger.started() == 5 }, "all are marked")
	s.stop()
	require.Equal(t, 5, counted(t, s.metrics.starts.WithLabelValues("already_started")))
	require.Equal(t, gobreaker.StateClosed, s.breaker.State())
}

// TestTemporalAway: rows wait in the inbox while Temporal is away, one start at a
// time tries, and all are started when it is back. Nothing is accepted any slower.
func TestTemporalAway(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	var away atomic.Bool
	away.Store(true)
	d.workflows.setAnswer(func(context.Context, string) error {
		if away.Load() {
			return serviceerror.NewUnavailable("connection refused")
		}
		return nil
	})
	for i := range 300 {
		require.Equal(t, 200, d.send(t, mailOf("evt_"+strconv.Itoa(i))).status)
	}
	eventually(t, func() bool { return d.server.starter.breaker.State() != gobreaker.StateClosed }, "starts pause")
	require.False(t, d.server.starter.reserve(), "new rows go to the inbox")
	tried := len(d.workflows.ids())
	require.Less(t, tried, 300, "a pause is a pause")
	require.Zero(t, d.ledger.started())
	away.Store(false)
	eventually(t, func() bool { return d.ledger.started() == 300 }, "all are started when it is back")
	require.NoError(t, d.stop())
	require.Contains(t, d.log.String(), "temporal.breaker")
}

// TestTemporalHangs: a start that gets no answer ends by its deadline.
func TestTemporalHangs(t *testing.T) {
	t.Parallel()
	ledger := &memoryLedger{}
	var calls atomic.Int64
	workflows := &fakeWorkflows{answer: func(ctx context.Context, _ string) error {
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
	s, _ := newTestStarter(t, ledger, workflows)
	s.start()
	eventually(t, func() bool { return ledger.started() == 1 }, "it is tried again")
	s.stop()
	require.Equal(t, int64(2), calls.Load())
}

// TestRefusedRowRests: what Temporal never takes does not keep the others waiting.
func TestRefusedRowRests(t *testing.T) {
	t.Parallel()
	ledger := &memoryLedger{}
	workflows := &fakeWorkflows{answer: func(_ context.Context, id string) error {
		if id == "evt_0" {
			return serviceerror.NewInvalidArgument("no")
		}
		return nil
	}}
	fill(ledger, 20)
	s, log := newTestStarter(t, ledger, workflows)
	s.start()
	eventually(t, func() bool { return ledger.started() == 19 }, "the others are started")
	s.stop()
	require.Contains(t, log.String(), "workflow.refused")
	require.Greater(t, time.Until(ledger.rows[0].until), refusedPause/2)
}

// TestStartsGiveWay: while accepting is crowded there is one start at a time, and
// not none.
func TestStartsGiveWay(t *testing.T) {
	t.Parallel()
	ledger := &memoryLedger{}
	workflows := &fakeWorkflows{}
	fill(ledger, 40)
	s, _ := newTestStarter(t, ledger, workflows)
	var crowded atomic.Bool
	crowded.Store(true)
	s.crowded = crowded.Load
	began := time.Now()
	s.start()
	eventually(t, func() bool { return len(workflows.ids()) >= 4 }, "it goes on, slowly")
	require.GreaterOrEqual(t, time.Since(began), 3*startPace)
	require.Less(t, len(workflows.ids()), 40)
	workflows.mu.Lock()
	require.Equal(t, 1, workflows.most)
	workflows.mu.Unlock()
	crowded.Store(false)
	eventually(t, func() bool { return ledger.started() == 40 }, "then at full speed")
	s.stop()
}

// TestStopReleasesClaims: starts in flight finish, the rest goes back at once.
func TestStopReleasesClaims(t *testing.T) {
	t.Parallel()
	ledger := &memoryLedger{}
	release := make(chan struct{})
	workflows := &fakeWorkflows{started: make(chan string, 100), answer: func(context.Context, string) error {
		<-release
		return nil
	}}
	fill(ledger, 50)
	s, _ := newTestStarter(t, ledger, workflows)
	s.start()
	for range firstStarts {
		<-workflows.started
	}
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("stopped with starts in flight")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	<-stopped
	require.Equal(t, firstStarts, ledger.started())
	require.Equal(t, 50-firstStarts, ledger.count(func(r *memoryRow) bool { return !r.started && !time.Now().Before(r.until) }),
		"anybody may claim them now")
	require.Empty(t, s.places)
}

func TestExpiredClaimIsNotStarted(t *testing.T) {
	t.Parallel()
	ledger, workflows := &memoryLedger{}, &fakeWorkflows{}
	ledger.accept(rowOf("evt_0"), time.Hour) // claimed by nobody here
	ledger.rows[0].until = time.Now().Add(time.Hour)
	s, _ := newTestStarter(t, ledger, workflows)
	require.True(t, s.reserve())
	s.submit(ledger.rows[0].waiting, time.Now().Add(-time.Second))
	s.start()
	eventually(t, func() bool { return len(s.places) == 0 }, "it leaves the queue")
	s.stop()
	require.Empty(t, workflows.ids())
}

func TestReservationsAreBounded(t *testing.T) {
	t.Parallel()
	s, _ := newTestStarter(t, &memoryLedger{}, &fakeWorkflows{})
	require.True(t, s.reserve())
	s.cancel(1)
	s.tempo.took = time.Millisecond // Temporal is fast
	for range startQueue {
		require.True(t, s.reserve())
	}
	require.False(t, s.reserve())
	s.cancel(startQueue)
	s.fallBehind()
	s.tempo.took = 40 * time.Millisecond // a hundred a second, four at once
	for range 100 / freshShare {
		require.True(t, s.reserve(), "what can be started within a second")
	}
	require.False(t, s.reserve(), "older rows wait as well")
	s.cancel(100 / freshShare)
	s.tempo.took = time.Second
	require.True(t, s.reserve())
	require.False(t, s.reserve(), "a slow Temporal is no reason to hold claims")
	s.cancel(1)
}

// TestSweepSurvivesErrors: the inbox cannot be read for a while.
func TestSweepSurvivesErrors(t *testing.T) {
	t.Parallel()
	ledger, workflows := &memoryLedger{claimErr: errAway}, &fakeWorkflows{}
	fill(ledger, 3)
	s, log := newTestStarter(t, ledger, workflows)
	s.start()
	eventually(t, func() bool { return len(log.String()) > 0 }, "it is told")
	require.Empty(t, s.places)
	ledger.mu.Lock()
	ledger.claimErr = nil
	ledger.mu.Unlock()
	eventually(t, func() bool { return ledger.started() == 3 }, "all are started")
	s.stop()
}

var _ Ledger = (*postgres.Inbox)(nil)
var _ Inbox = (*postgres.Inbox)(nil)
var _ InboxMeter = (*postgres.Inbox)(nil)
