package accept

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
)

// noClaims is a dispatcher that is always busy.
type noClaims struct{ behind, yield atomic.Int64 }

func (*noClaims) Reserve() bool                      { return false }
func (*noClaims) Cancel(int)                         {}
func (*noClaims) Submit(postgres.Waiting, time.Time) {}
func (c *noClaims) SweepSoon()                       { c.behind.Add(1) }
func (c *noClaims) Yield(until time.Time)            { c.yield.Store(until.UnixNano()) }

// noFallback is a Temporal that is unavailable.
type noFallback struct{}

func (noFallback) Start(context.Context, postgres.Acceptance) (postgres.Accepted, error) {
	return postgres.Accepted{}, fault.New(fault.TemporalUnavailable, "away")
}

// openAccepter returns an accepter that runs and has no fallback.
func openAccepter(t *testing.T, ledger *ingresstest.Ledger, c Claims) *Accepter {
	t.Helper()
	a := newAccepter(t, ledger, c)
	a.Start()
	t.Cleanup(a.Stop)
	return a
}

func newAccepter(t *testing.T, ledger *ingresstest.Ledger, c Claims) *Accepter {
	t.Helper()
	a, err := New(3*time.Second, Deps{Ledger: ledger, Fallback: noFallback{}, Claims: c, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return a
}

// TestRequestsShareACommit holds the writers until all requests wait.
func TestRequestsShareACommit(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	var writing atomic.Int64
	ledger := &ingresstest.Ledger{Refuse: func(context.Context, []postgres.Acceptance) error {
		writing.Add(1)
		<-gate
		return nil
	}}
	claims := &noClaims{}
	a := openAccepter(t, ledger, claims)
	require.Zero(t, claims.yield.Load())
	var group sync.WaitGroup
	accept := func(i int) {
		group.Go(func() {
			got, err := a.Accept(t.Context(), ingresstest.RowOf("evt_"+strconv.Itoa(i)))
			require.NoError(t, err)
			require.Equal(t, "evt_"+strconv.Itoa(i), got.Row.Email.EventID, "each gets its own answer")
		})
	}
	for i := range flushers {
		accept(i)
		ingresstest.Eventually(t, func() bool { return int(writing.Load()) == i+1 }, "a writer is busy")
	}
	for i := range 300 {
		accept(flushers + i)
	}
	ingresstest.Eventually(t, func() bool { return len(a.queue) == 300 }, "the others wait")
	close(gate)
	group.Wait()
	require.LessOrEqual(t, len(ledger.Batches), flushers+4, "%v", ledger.Batches)
	require.LessOrEqual(t, maxOf(ledger.Batches), maxBatchRows)
	require.Equal(t, 302, ledger.Size())
	require.Positive(t, claims.behind.Load(), "the starter knows that there are rows to claim")
}

func maxOf(list []int) int {
	most := 0
	for _, n := range list {
		most = max(most, n)
	}
	return most
}

func TestBatchIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	claims := &noClaims{}
	a := newAccepter(t, &ingresstest.Ledger{}, claims)
	for range 200 {
		row := ingresstest.RowOf("x")
		row.Body = make([]byte, postgres.MaxInline)
		a.queue <- &pendingRow{ctx: t.Context(), row: row}
	}
	require.Len(t, a.collectBatch(<-a.queue), maxBatchSize/postgres.MaxInline)
	require.Greater(t, claims.yield.Load(), time.Now().Add(-ingresstest.Patience).UnixNano())
}

// TestPoisonHarmsOnlyItself refuses every batch that holds one row.
func TestPoisonHarmsOnlyItself(t *testing.T) {
	t.Parallel()
	for name, poison := range map[string]error{
		"refused for good": fault.New(fault.FieldInvalid, "no"),
		"unclassified":     errors.New("invalid byte sequence"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ledger := &ingresstest.Ledger{Refuse: func(_ context.Context, batch []postgres.Acceptance) error {
				for _, a := range batch {
					if a.EventID == "poison" {
						return poison
					}
				}
				return nil
			}}
			a := newAccepter(t, ledger, &noClaims{})
			var batch []*pendingRow
			for _, id := range []string{"a", "poison", "b"} {
				batch = append(batch, &pendingRow{ctx: t.Context(), row: ingresstest.RowOf(id), result: make(chan result, 1)})
			}
			a.writeBatch(batch)
			require.NoError(t, (<-batch[0].result).err)
			require.ErrorIs(t, (<-batch[1].result).err, poison)
			require.NoError(t, (<-batch[2].result).err)
			require.Equal(t, 2, ledger.Size())
		})
	}
}

// TestOutageIsNotTriedRowByRow: with the database away one try is enough.
func TestOutageIsNotTriedRowByRow(t *testing.T) {
	t.Parallel()
	tries := 0
	ledger := &ingresstest.Ledger{Refuse: func(context.Context, []postgres.Acceptance) error { tries++; return ingresstest.ErrUnavailable }}
	a := newAccepter(t, ledger, &noClaims{})
	batch := []*pendingRow{
		{ctx: t.Context(), row: ingresstest.RowOf("a"), result: make(chan result, 1)},
		{ctx: t.Context(), row: ingresstest.RowOf("b"), result: make(chan result, 1)},
	}
	a.writeBatch(batch)
	require.True(t, fault.Is((<-batch[0].result).err, fault.StorageUnavailable))
	require.True(t, fault.Is((<-batch[1].result).err, fault.StorageUnavailable))
	require.Equal(t, 1, tries)
}

// TestNoRequestWaitsForAnUnavailableDatabase: after a few failures one write in a pause
// asks whether it has recovered.
func TestNoRequestWaitsForAnUnavailableDatabase(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	ledger := &ingresstest.Ledger{Refuse: func(context.Context, []postgres.Acceptance) error { tries.Add(1); return ingresstest.ErrUnavailable }}
	a := openAccepter(t, ledger, &noClaims{})
	for range 50 {
		_, err := a.Accept(t.Context(), ingresstest.RowOf("a"))
		require.True(t, fault.Is(err, fault.StorageUnavailable))
	}
	require.LessOrEqual(t, tries.Load(), int64(databaseFailures+1))
	ledger.Set(func(l *ingresstest.Ledger) { l.Refuse = nil })
	ingresstest.Eventually(t, func() bool {
		_, err := a.Accept(t.Context(), ingresstest.RowOf("b"))
		return err == nil
	}, "it is asked again")
}

func TestRequestsThatLeftAreNotWritten(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	a := newAccepter(t, ledger, &noClaims{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := a.Accept(gone, ingresstest.RowOf("a")) // it does not write yet
	require.True(t, fault.Is(err, fault.StorageUnavailable))
	a.Start()
	_, err = a.Accept(t.Context(), ingresstest.RowOf("b"))
	require.NoError(t, err)
	a.Stop()
	require.Equal(t, 1, ledger.Size())
}

func TestFullQueueIsOverload(t *testing.T) {
	t.Parallel()
	a := newAccepter(t, &ingresstest.Ledger{}, &noClaims{})
	for range acceptQueue {
		a.queue <- &pendingRow{}
	}
	_, err := a.Accept(t.Context(), ingresstest.RowOf("a"))
	require.True(t, fault.Is(err, fault.Overloaded))
}

// TestStopWritesWhatWaits: a request in flight at the stop gets its answer.
func TestStopWritesWhatWaits(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	a := newAccepter(t, ledger, &noClaims{})
	var batch []*pendingRow
	for i := range 600 {
		w := &pendingRow{ctx: t.Context(), row: ingresstest.RowOf(strconv.Itoa(i)), result: make(chan result, 1)}
		batch = append(batch, w)
		a.queue <- w
	}
	a.Start()
	a.Stop()
	for _, w := range batch {
		require.NoError(t, (<-w.result).err)
	}
	require.Equal(t, 600, ledger.Size())
}

// TestBatchTakenApartLetsGo: a batch that is taken apart does not keep its writer
// once the database is unavailable.
func TestBatchTakenApartLetsGo(t *testing.T) {
	t.Parallel()
	var alone atomic.Int64
	ledger := &ingresstest.Ledger{Refuse: func(_ context.Context, rows []postgres.Acceptance) error {
		if len(rows) > 1 {
			return errors.New("one of them cannot be stored")
		}
		alone.Add(1)
		return ingresstest.ErrUnavailable
	}}
	a := newAccepter(t, ledger, &noClaims{})
	var batch []*pendingRow
	for i := range 12 {
		batch = append(batch, &pendingRow{ctx: t.Context(), row: ingresstest.RowOf(strconv.Itoa(i)), result: make(chan result, 1)})
	}
	a.writeBatch(batch)
	for _, w := range batch {
		require.True(t, fault.Is((<-w.result).err, fault.StorageUnavailable))
	}
	require.Equal(t, int64(1), alone.Load())
}
