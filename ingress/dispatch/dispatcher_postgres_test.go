package dispatch

import (
	"context"
	"crypto/sha256"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/config"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

// fillInbox accepts rows that no process claims.
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

// openStarter returns a dispatcher that no worker holds back.
func openStarter(t testing.TB, inbox Inbox, workflows Workflows) *Dispatcher {
	t.Helper()
	return openDispatcher(t, config.Starts{Ahead: -1}, inbox, workflows, &ingresstest.Log{})
}

func openDispatcher(t testing.TB, bounds config.Starts, inbox Inbox, workflows Workflows, log *ingresstest.Log) *Dispatcher {
	t.Helper()
	d, err := New(bounds, Deps{
		Inbox: inbox, Workflows: workflows, Memos: ingresstest.Memos, Registry: prometheus.NewRegistry(), Logger: log.Logger(),
	})
	require.NoError(t, err)
	return d
}

// TestStartersShareTheInbox: two processes start each row once.
func TestStartersShareTheInbox(t *testing.T) {
	t.Parallel()
	const rows = 2000
	db, workflows := pgtest.New(t), &ingresstest.Workflows{}
	fillInbox(t, db, rows)
	one, two := openStarter(t, db, workflows), openStarter(t, db, workflows)
	one.Start()
	two.Start()
	ingresstest.Eventually(t, func() bool { return db.CountInbox(t) == 0 }, "all are started")
	one.Stop()
	two.Stop()
	ids := map[string]bool{}
	for _, id := range workflows.IDs() {
		ids[id] = true
	}
	require.Len(t, ids, rows)
	require.Len(t, workflows.IDs(), rows, "each once")
	for _, s := range []*Dispatcher{one, two} {
		require.Positive(t, ingresstest.Counted(t, s.metrics.starts.WithLabelValues(string(startDone))), "both took part")
	}
}

// dyingInbox is the inbox of a process from which nothing comes any more.
type dyingInbox struct{ *pgtest.DB }

func (dyingInbox) MarkStarted(context.Context, []int64) error { return ingresstest.ErrUnavailable }
func (dyingInbox) ReleaseClaims(context.Context, []int64, time.Duration) error {
	return ingresstest.ErrUnavailable
}

// TestStarterDies: what it had claimed, and what it had started and not marked, is
// taken over; Temporal sees to it that nothing runs twice.
func TestStarterDies(t *testing.T) {
	t.Parallel()
	const rows, before = 300, 20
	db, workflows := pgtest.New(t), &ingresstest.Workflows{}
	fillInbox(t, db, rows)
	workflows.Once()
	real := workflows.Answer
	var tried atomic.Int64
	workflows.SetAnswer(func(ctx context.Context, id string) error {
		if tried.Add(1) > before {
			return context.DeadlineExceeded
		}
		return real(ctx, id)
	})
	first := openStarter(t, dyingInbox{db}, workflows)
	first.Start()
	ingresstest.Eventually(t, func() bool { return tried.Load() > before }, "it is in the middle of it")
	first.Stop()
	require.Equal(t, rows, db.CountInbox(t), "it has marked nothing")

	workflows.SetAnswer(real)
	second := openStarter(t, db, workflows)
	second.Start()
	ingresstest.Eventually(t, func() bool { return db.CountInbox(t) == 0 }, "all are started")
	second.Stop()
	require.Equal(t, before, ingresstest.Counted(t, first.metrics.starts.WithLabelValues(string(startDone))))
	require.Equal(t, rows-before, ingresstest.Counted(t, second.metrics.starts.WithLabelValues(string(startDone))))
	require.Equal(t, before, ingresstest.Counted(t, second.metrics.starts.WithLabelValues(string(startAlready))))
}
