package ingress

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"mailroom/shared/config"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

// fillInbox accepts rows that nobody claims.
func fillInbox(t testing.TB, db *pgtest.DB, rows int) {
	t.Helper()
	batch := make([]postgres.Acceptance, rows)
	for i := range batch {
		id := "evt_" + strconv.Itoa(i)
		batch[i] = postgres.Acceptance{
			Source: "mailparse", EventID: id, WorkflowID: id, Tenant: "default", CorrelationID: "c",
			Body: []byte(id), BodySHA256: sha256.Sum256([]byte(id)), Size: 1, ReceivedAt: time.Now(),
		}
	}
	_, err := db.Accept(t.Context(), batch, 0)
	require.NoError(t, err)
}

// openStarter gives a starter that no worker holds back.
func openStarter(t testing.TB, inbox Inbox, workflows Workflows) *starter {
	t.Helper()
	m, err := newMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	return newStarter(config.Starts{Ahead: -1}, inbox, workflows, workflows.(temporal.Describer), testMemos, m, (&lines{}).logger(), time.Now)
}

// TestStartersShareTheInbox: two processes start each row once.
func TestStartersShareTheInbox(t *testing.T) {
	t.Parallel()
	const rows = 2000
	db, workflows := pgtest.New(t), &fakeWorkflows{}
	fillInbox(t, db, rows)
	one, two := openStarter(t, db, workflows), openStarter(t, db, workflows)
	one.start()
	two.start()
	eventually(t, func() bool { return depth(t, db) == 0 }, "all are started")
	one.stop()
	two.stop()
	ids := map[string]bool{}
	for _, id := range workflows.ids() {
		ids[id] = true
	}
	require.Len(t, ids, rows)
	require.Len(t, workflows.ids(), rows, "each once")
	for _, s := range []*starter{one, two} {
		require.Positive(t, counted(t, s.metrics.starts.WithLabelValues(string(startDone))), "both took part")
	}
}

// dyingInbox is the inbox of a process from which nothing comes any more.
type dyingInbox struct{ *pgtest.DB }

func (dyingInbox) MarkStarted(context.Context, []int64) error { return errAway }
func (dyingInbox) ReleaseClaims(context.Context, []int64, time.Duration) error {
	return errAway
}

// TestStarterDies: what it had claimed, and what it had started and not marked, is
// taken over; Temporal sees to it that nothing runs twice.
func TestStarterDies(t *testing.T) {
	t.Parallel()
	const rows, before = 300, 20
	db, workflows := pgtest.New(t), &fakeWorkflows{}
	fillInbox(t, db, rows)
	workflows.once()
	real := workflows.answer
	var tried atomic.Int64
	workflows.setAnswer(func(ctx context.Context, id string) error {
		if tried.Add(1) > before {
			return context.DeadlineExceeded
		}
		return real(ctx, id)
	})
	first := openStarter(t, dyingInbox{db}, workflows)
	first.start()
	eventually(t, func() bool { return tried.Load() > before }, "it is in the middle of it")
	first.stop()
	require.Equal(t, rows, depth(t, db), "it has marked nothing")

	workflows.setAnswer(real)
	second := openStarter(t, db, workflows)
	second.start()
	eventually(t, func() bool { return depth(t, db) == 0 }, "all are started")
	second.stop()
	require.Equal(t, before, counted(t, first.metrics.starts.WithLabelValues(string(startDone))))
	require.Equal(t, rows-before, counted(t, second.metrics.starts.WithLabelValues(string(startDone))))
	require.Equal(t, before, counted(t, second.metrics.starts.WithLabelValues(string(startAlready))))
}

// TestOneBadRowHoldsNobodyUp: Temporal is well but for one row, as when the shard of
// its workflow is away.
func TestOneBadRowHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	d := openRealDoor(t, pgtest.New(t))
	var tries, started atomic.Int64
	d.workflows.setAnswer(func(_ context.Context, id string) error {
		if id == "evt_0" {
			tries.Add(1)
			return serviceerror.NewUnavailable("shard is away")
		}
		started.Add(1)
		return nil
	})
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_0")).status)
	eventually(t, func() bool { return tries.Load() >= breakerFailures }, "it has failed often enough")
	for i := 1; i < 10; i++ {
		require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_"+strconv.Itoa(i))).status)
	}
	eventually(t, func() bool { return started.Load() == 9 }, "the others are started")
}
