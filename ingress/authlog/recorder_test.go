package authlog

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

func TestWritesInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Config{})
		end := b.run(t)
		for range 10 {
			b.Add(bad("192.0.2.1"))
			b.Add(bad("::ffff:192.0.2.1"))
		}
		b.Add(bad("fe80::1%eth0"))
		none := bad("2001:db8:0:1:a:b:c:d")
		none.Scheme, none.Code = "none", fault.SignatureMissing
		b.Add(none)
		b.Add(Failure{Source: "mailparse", Scheme: "none", Code: fault.SignatureMissing}) // no address is known
		after(writeEvery - time.Second)
		b.runLocked(func() {
			require.Zero(t, b.store.writes)
		})
		after(time.Second)
		b.runLocked(func() {
			require.Equal(t, 1, b.store.writes)
		})
		got := map[string]int64{}
		b.runLocked(func() {
			for r, n := range b.store.rows {
				require.Equal(t, time.Now().UTC().Truncate(time.Hour), r.Hour)
				got[strings.Join([]string{r.Source, r.Scheme, r.Code, r.Address}, " ")] = n
			}
		})
		require.Equal(t, map[string]int64{
			"mailparse timestamp-hmac signature_invalid 192.0.2.1":  20,
			"mailparse timestamp-hmac signature_invalid fe80::1":    1,
			"mailparse none signature_missing 2001:db8:0:1:a:b:c:d": 1,
			"mailparse none signature_missing ":                     1,
		}, got)

		after(10 * writeEvery)
		b.runLocked(func() {
			require.Equal(t, 1, b.store.writes, "nothing new, nothing written")
		})
		b.Add(bad("192.0.2.1"))
		end()
		total, _, _ := b.store.total()
		require.EqualValues(t, 24, total, "Run writes before it returns")
		require.Empty(t, b.logs.String())
	})
}

// TestFlood adds 100,000 failures from 50,000 addresses. All are counted, those beyond the
// bound without their address.
func TestFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Config{})
		end := b.run(t)
		for i := range 100_000 {
			f := bad("192.0.2.1")
			f.Address = numbered(i % 50_000)
			if i%2 == 1 {
				f.Code = fault.TimestampStale
			}
			b.Add(f)
			if i%10_000 == 0 {
				after(writeEvery)
			}
		}
		quiet := bad("192.0.2.7")
		quiet.Source = "quiet"
		b.Add(quiet)
		b.runLocked(func() {
			require.Len(t, b.hours, 1)
			require.LessOrEqual(t, len(b.hours[hourOf(time.Now())].entries), DefaultAddresses+3)
			require.LessOrEqual(t, len(b.dirty), DefaultAddresses+3)
		})
		end()
		total, named, rest := b.store.total()
		require.EqualValues(t, 100_001, total)
		require.Equal(t, DefaultAddresses+1, named, "the quiet source has room of its own")
		require.Equal(t, 2, rest, "one for each code")
		b.runLocked(func() {
			require.LessOrEqual(t, b.store.largest, maxRows)
		})

		// An address that has its place keeps it, also after a write.
		b.Add(bad("10.0.0.0"))
		rows, _ := b.takeRows(1)
		require.Equal(t, "10.0.0.0", rows[0].Address)
	})
}

func TestStoreUnavailableAndRecovered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Config{Addresses: 2400})
		end := b.run(t)
		b.store.set(errors.New("no connection"))
		const hours, perHour = 6, 2500
		for h := range hours {
			for i := range perHour {
				f := bad("192.0.2.1")
				f.Address = numbered(h*perHour + i)
				b.Add(f)
			}
			after(time.Hour)
		}
		b.runLocked(func() {
			require.LessOrEqual(t, b.held, maxHeld, "however long the store is unavailable")
			require.LessOrEqual(t, len(b.dirty), maxHeld+hours)
		})
		require.Equal(t, 1, strings.Count(b.logs.String(), "audit.not_written"), "logged once")
		b.runLocked(func() {
			require.Empty(t, b.store.prunes)
		})

		b.store.set(nil)
		after(writeEvery)
		total, named, rest := b.store.total()
		require.EqualValues(t, hours*perHour, total)
		require.Equal(t, maxHeld, named)
		require.Equal(t, hours, rest, "one for each hour")
		b.runLocked(func() {
			require.Equal(t, maxRows, b.store.largest)
		})
		require.Contains(t, b.logs.String(), "audit.written_again")
		b.runLocked(func() {
			require.Empty(t, b.dirty)
			require.Zero(t, b.held)
			require.LessOrEqual(t, len(b.hours), 1, "hours that are over and written are dropped")
		})

		b.Add(bad("192.0.2.1"))
		after(writeEvery)
		_, now, _ := b.store.total()
		require.Equal(t, named+1, now, "there is room again")
		end()
	})
}

// TestStoreUnavailableLongerThanKept checks that failures older than Keep do not stay in memory.
func TestStoreUnavailableLongerThanKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Config{Keep: 24 * time.Hour})
		end := b.run(t)
		b.store.set(errors.New("no connection"))
		for range 72 {
			b.Add(bad("192.0.2.1"))
			after(time.Hour)
		}
		b.runLocked(func() {
			require.LessOrEqual(t, len(b.hours), 26)
		})
		b.store.set(nil)
		end()
		total, _, _ := b.store.total()
		require.InDelta(t, 24, total, 2)
	})
}

// TestOneOfSeveralStatementsFails checks that rows that were written are not written again.
func TestOneOfSeveralStatementsFails(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{Addresses: 5000})
	failing := &failsLater{memoryStore: b.store, after: 2}
	b.Recorder.store = failing
	for i := range 5000 {
		f := bad("192.0.2.1")
		f.Address = numbered(i)
		b.Add(f)
	}
	require.False(t, b.writeCollected(t.Context()))
	b.Add(bad("10.0.0.0")) // while the rows are returned, for an entry that exists
	require.True(t, b.writeCollected(t.Context()))
	total, named, _ := b.store.total()
	require.EqualValues(t, 5001, total)
	require.Equal(t, 5000, named)
}

type failsLater struct {
	*memoryStore
	after int // writes that succeed; the next one fails
}

func (s *failsLater) SaveVerificationFailures(ctx context.Context, rows []ledger.VerificationFailure) error {
	if s.after--; s.after == -1 {
		return errors.New("connection lost")
	}
	return s.memoryStore.SaveVerificationFailures(ctx, rows)
}

// TestStoreHangs checks that Add returns and Run ends.
func TestStoreHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Config{})
		b.store.wait = make(chan struct{})
		end := b.run(t)
		b.Add(bad("192.0.2.1"))
		after(writeEvery) // a write is under way, and hangs
		b.Add(bad("192.0.2.1"))
		before := time.Now()
		end()
		require.LessOrEqual(t, time.Since(before), writeTimeout+lastTimeout)
		require.Contains(t, b.logs.String(), "audit.not_written")
		close(b.store.wait)
		require.True(t, b.writeCollected(t.Context()))
		total, _, _ := b.store.total()
		require.EqualValues(t, 2, total)
	})
}

// TestRunningWriteIsNotCancelled checks it, because a write that is cut off might count twice.
func TestRunningWriteIsNotCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Config{})
		b.store.wait = make(chan struct{})
		end := b.run(t)
		b.Add(bad("192.0.2.1"))
		after(writeEvery)
		go func() {
			<-time.After(time.Second)
			close(b.store.wait)
		}()
		end()
		b.runLocked(func() { require.Equal(t, 1, b.store.writes) })
		require.Empty(t, b.logs.String())
	})
}

func TestPruneEveryHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Config{Keep: 48 * time.Hour})
		b.store.pruned = errors.New("no connection")
		end := b.run(t)
		after(writeEvery)
		b.runLocked(func() {
			require.Len(t, b.store.prunes, 1)
			require.Equal(t, time.Now().Add(-48*time.Hour), b.store.prunes[0])
		})

		after(pruneAgain + time.Second)
		b.runLocked(func() {
			require.Len(t, b.store.prunes, 2, "one that failed is repeated after a minute")
		})

		b.runLocked(func() { b.store.pruned = nil })
		after(pruneAgain)
		b.runLocked(func() {
			require.Len(t, b.store.prunes, 3)
		})

		after(pruneEvery - time.Minute)
		b.runLocked(func() {
			require.Len(t, b.store.prunes, 3)
		})

		after(2 * time.Minute)
		b.runLocked(func() {
			require.Len(t, b.store.prunes, 4)
		})
		end()
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	deps := Deps{Store: &memoryStore{}, Logger: slog.New(slog.DiscardHandler)}
	r, err := New(Config{}, deps)
	require.NoError(t, err)
	require.Equal(t, Config{DefaultKeep, DefaultAddresses}, r.cfg)
	for text, cfg := range map[string]Config{
		"keep 1m0s": {Keep: time.Minute}, "keep -1h0m0s": {Keep: -time.Hour}, "addresses -1": {Addresses: -1}, "addresses 10001": {Addresses: maxHeld + 1},
	} {
		_, err := New(cfg, deps)
		require.ErrorContains(t, err, text)
	}
	for _, missing := range []Deps{{Store: deps.Store}, {Logger: deps.Logger}} {
		_, err := New(Config{}, missing)
		require.ErrorContains(t, err, "required")
	}
}

// TestManyAtOnce is for the race detector, and adds up on the real database.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r, err := New(Config{Addresses: 50}, Deps{Store: db, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var adding, running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	const goroutines, each = 8, 2000
	for g := range goroutines {
		adding.Go(func() {
			for i := range each {
				f := bad("192.0.2.1")
				f.Address = numbered(g*each + i%100)
				r.Add(f)
			}
		})
	}

	adding.Wait()
	cancel()
	running.Wait()
	list, err := db.VerificationFailures(t.Context(), ledger.FailureFilter{Source: "mailparse", Limit: 1000})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(list), 51)
	require.LessOrEqual(t, len(list), 2*51, "twice where the hour changed")
	counts, err := db.CountVerificationFailures(t.Context(), time.Now().Add(-2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, map[string]map[string]int64{"mailparse": {"signature_invalid": goroutines * each}}, counts)
}

// TestAddIsCheap: a failure that is known already, and one beyond the bound,
// allocate nothing.
func TestAddIsCheap(t *testing.T) {
	at := time.Now()
	b := setup(t, Config{Addresses: 10})
	f := bad("192.0.2.1")
	f.At = at
	i := 0
	next := func() {
		f.Address = numbered(i)
		i++
		b.Add(f)
	}
	for range 20 {
		next()
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() { b.Add(f) }))
	require.Zero(t, testing.AllocsPerRun(1000, next))
	b.runLocked(func() {
		require.Len(t, b.hours[hourOf(at)].entries, 11)
	})
}

func BenchmarkAdd(b *testing.B) {
	for name, addresses := range map[string]int{"one address": 1, "a flood": 50_000} {
		b.Run(name, func(b *testing.B) {
			r, err := New(Config{}, Deps{Store: &memoryStore{}, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(b, err)
			f := bad("192.0.2.1")
			f.At = time.Now()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f.Address = numbered(i % addresses)
				r.Add(f)
			}
		})
	}
}
