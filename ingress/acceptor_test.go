package ingress

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/postgres"
)

// noClaims is a starter that is always busy.
type noClaims struct{ behind atomic.Int64 }

func (*noClaims) reserve() bool                      { return false }
func (*noClaims) cancel(int)                         {}
func (*noClaims) submit(postgres.Waiting, time.Time) {}
func (c *noClaims) fallBehind()                      { c.behind.Add(1) }

// noCarrier is a Temporal that is away.
type noCarrier struct{}

func (noCarrier) carry(context.Context, postgres.Acceptance) (postgres.Accepted, error) {
	return postgres.Accepted{}, fault.New(fault.TemporalUnavailable, "away")
}

// openAcceptor gives an acceptor whose writes wait for gate to be closed.
func openAcceptor(t *testing.T, ledger *memoryLedger, c claims) *acceptor {
	t.Helper()
	a := newAcceptor(ledger, noCarrier{}, c, slog.New(slog.DiscardHandler), time.Now)
	a.start()
	t.Cleanup(a.stop)
	return a
}

func rowOf(id string) postgres.Acceptance {
	return postgres.Acceptance{Source: "mailparse", EventID: id, WorkflowID: id, Body: []byte("x"), Size: 1}
}

// TestFiftyAtOnce sends one event fifty times side by side.
func TestFiftyAtOnce(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	var fresh, repeated atomic.Int64
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			got := d.send(t, mailOf("evt_1"))
			require.Equal(t, http.StatusOK, got.status)
			if strings.Contains(got.body, `"duplicate":true`) {
				repeated.Add(1)
			} else {
				fresh.Add(1)
			}
		})
	}
	group.Wait()
	require.Equal(t, int64(1), fresh.Load())
	require.Equal(t, int64(49), repeated.Load())
	require.Equal(t, 49, counted(t, d.server.metrics.duplicates.WithLabelValues("mailparse")))
	eventually(t, func() bool { return d.ledger.started() == 1 }, "it is started")
	require.NoError(t, d.stop())
	require.Equal(t, []string{"evt_1"}, d.workflows.ids())
}

// TestRequestsShareACommit holds the writers until everybody waits.
func TestRequestsShareACommit(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	var writing atomic.Int64
	ledger := &memoryLedger{refuse: func(context.Context, []postgres.Acceptance) error {
		writing.Add(1)
		<-gate
		return nil
	}}
	claims := &noClaims{}
	a := openAcceptor(t, ledger, claims)
	require.False(t, a.crowdedLately())
	var group sync.WaitGroup
	accept := func(i int) {
		group.Go(func() {
			got, err := a.accept(t.Context(), rowOf("evt_"+strconv.Itoa(i)))
			require.NoError(t, err)
			require.Equal(t, "evt_"+strconv.Itoa(i), got.Row.Email.EventID, "everybody gets their own answer")
		})
	}
	for i := range flushers {
		accept(i)
		eventually(t, func() bool { return int(writing.Load()) == i+1 }, "a writer is busy")
	}
	for i := range 300 {
		accept(flushers + i)
	}
	eventually(t, func() bool { return len(a.queue) == 300 }, "the others wait")
	close(gate)
	group.Wait()
	require.LessOrEqual(t, len(ledger.batches), flushers+4, "%v", ledger.batches)
	require.LessOrEqual(t, maxOf(ledger.batches), maxBatchRows)
	require.Equal(t, 302, ledger.size())
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
	a := newAcceptor(&memoryLedger{}, noCarrier{}, &noClaims{}, slog.New(slog.DiscardHandler), time.Now)
	for range 200 {
		row := rowOf("x")
		row.Body = make([]byte, inlineMax)
		a.queue <- &waiter{ctx: t.Context(), row: row}
	}
	require.Len(t, a.collect(<-a.queue), maxBatchSize/inlineMax)
	require.True(t, a.crowdedLately())
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
			ledger := &memoryLedger{refuse: func(_ context.Context, batch []postgres.Acceptance) error {
				for _, a := range batch {
					if a.EventID == "poison" {
						return poison
					}
				}
				return nil
			}}
			a := newAcceptor(ledger, noCarrier{}, &noClaims{}, slog.New(slog.DiscardHandler), time.Now)
			var batch []*waiter
			for _, id := range []string{"a", "poison", "b"} {
				batch = append(batch, &waiter{ctx: t.Context(), row: rowOf(id), answer: make(chan answer, 1)})
			}
			a.flush(batch)
			require.NoError(t, (<-batch[0].answer).err)
			require.ErrorIs(t, (<-batch[1].answer).err, poison)
			require.NoError(t, (<-batch[2].answer).err)
			require.Equal(t, 2, ledger.size())
		})
	}
}

// TestOutageIsNotTriedRowByRow: with the database away one try is enough.
func TestOutageIsNotTriedRowByRow(t *testing.T) {
	t.Parallel()
	tries := 0
	ledger := &memoryLedger{refuse: func(context.Context, []postgres.Acceptance) error { tries++; return errAway }}
	a := newAcceptor(ledger, noCarrier{}, &noClaims{}, slog.New(slog.DiscardHandler), time.Now)
	batch := []*waiter{
		{ctx: t.Context(), row: rowOf("a"), answer: make(chan answer, 1)},
		{ctx: t.Context(), row: rowOf("b"), answer: make(chan answer, 1)},
	}
	a.flush(batch)
	require.True(t, fault.Is((<-batch[0].answer).err, fault.StorageUnavailable))
	require.True(t, fault.Is((<-batch[1].answer).err, fault.StorageUnavailable))
	require.Equal(t, 1, tries)
}

// TestNobodyWaitsForADatabaseThatIsAway: after a few failures one write in a pause
// asks whether it is back.
func TestNobodyWaitsForADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	ledger := &memoryLedger{refuse: func(context.Context, []postgres.Acceptance) error { tries.Add(1); return errAway }}
	a := openAcceptor(t, ledger, &noClaims{})
	for range 50 {
		_, err := a.accept(t.Context(), rowOf("a"))
		require.True(t, fault.Is(err, fault.StorageUnavailable))
	}
	require.LessOrEqual(t, tries.Load(), int64(databaseFailures+1))
	ledger.mu.Lock()
	ledger.refuse = nil
	ledger.mu.Unlock()
	eventually(t, func() bool {
		_, err := a.accept(t.Context(), rowOf("b"))
		return err == nil
	}, "it is asked again")
}

func TestRequestsThatLeftAreNotWritten(t *testing.T) {
	t.Parallel()
	ledger := &memoryLedger{}
	a := newAcceptor(ledger, noCarrier{}, &noClaims{}, slog.New(slog.DiscardHandler), time.Now)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := a.accept(gone, rowOf("a")) // nobody writes yet
	require.True(t, fault.Is(err, fault.StorageUnavailable))
	a.start()
	_, err = a.accept(t.Context(), rowOf("b"))
	require.NoError(t, err)
	a.stop()
	require.Equal(t, 1, ledger.size())
}

func TestFullQueueIsOverload(t *testing.T) {
	t.Parallel()
	a := newAcceptor(&memoryLedger{}, noCarrier{}, &noClaims{}, slog.New(slog.DiscardHandler), time.Now)
	for range acceptQueue {
		a.queue <- &waiter{}
	}
	_, err := a.accept(t.Context(), rowOf("a"))
	require.True(t, fault.Is(err, fault.Overloaded))
}

// TestStopWritesWhatWaits: a request in flight at the stop gets its answer.
func TestStopWritesWhatWaits(t *testing.T) {
	t.Parallel()
	ledger := &memoryLedger{}
	a := newAcceptor(ledger, noCarrier{}, &noClaims{}, slog.New(slog.DiscardHandler), time.Now)
	var batch []*waiter
	for i := range 600 {
		w := &waiter{ctx: t.Context(), row: rowOf(strconv.Itoa(i)), answer: make(chan answer, 1)}
		batch = append(batch, w)
		a.queue <- w
	}
	a.start()
	a.stop()
	for _, w := range batch {
		require.NoError(t, (<-w.answer).err)
	}
	require.Equal(t, 600, ledger.size())
}

// TestBatchTakenApartLetsGo: a batch that is taken apart does not keep its writer
// once the database is away.
func TestBatchTakenApartLetsGo(t *testing.T) {
	t.Parallel()
	var alone atomic.Int64
	ledger := &memoryLedger{refuse: func(_ context.Context, rows []postgres.Acceptance) error {
		if len(rows) > 1 {
			return errors.New("one of them cannot be stored")
		}
		alone.Add(1)
		return errAway
	}}
	a := newAcceptor(ledger, noCarrier{}, &noClaims{}, slog.New(slog.DiscardHandler), time.Now)
	var batch []*waiter
	for i := range 12 {
		batch = append(batch, &waiter{ctx: t.Context(), row: rowOf(strconv.Itoa(i)), answer: make(chan answer, 1)})
	}
	a.flush(batch)
	for _, w := range batch {
		require.True(t, fault.Is((<-w.answer).err, fault.StorageUnavailable))
	}
	require.Equal(t, int64(1), alone.Load())
}
