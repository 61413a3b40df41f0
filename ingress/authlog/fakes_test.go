package authlog

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres"
)

var _ Store = (*postgres.AuthFailures)(nil)

// memoryStore adds up like the database.
type memoryStore struct {
	mu      sync.Mutex
	rows    map[ledger.VerificationFailure]int64 // key: without counts and times
	writes  int
	largest int
	err     error
	prunes  []time.Time
	pruned  error
	wait    chan struct{} // not nil: a write goes on when it is closed, or its context ends
}

func (s *memoryStore) SaveVerificationFailures(ctx context.Context, rows []ledger.VerificationFailure) error {
	s.mu.Lock()
	wait := s.wait
	s.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	s.largest = max(s.largest, len(rows))
	if s.err != nil {
		return s.err
	}
	if s.rows == nil {
		s.rows = map[ledger.VerificationFailure]int64{}
	}

	for _, r := range rows {
		if r.Count < 1 || r.LastAt.Before(r.FirstAt) || r.FirstAt.Before(r.Hour) || r.LastAt.After(r.Hour.Add(time.Hour)) {
			return fmt.Errorf("a row that makes no sense: %+v", r)
		}
		count := r.Count
		r.Count, r.FirstAt, r.LastAt = 0, time.Time{}, time.Time{}
		s.rows[r] += count
	}

	return nil
}

func (s *memoryStore) PruneVerificationFailures(_ context.Context, before time.Time) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prunes = append(s.prunes, before)
	return 0, s.pruned
}

func (s *memoryStore) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// total returns how many failures the rows count, and how many rows have an address or none.
func (s *memoryStore) total() (total int64, named, rest int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r, n := range s.rows {
		total += n
		if r.Address == "" {
			rest++
		} else {
			named++
		}
	}
	return total, named, rest
}

type bundle struct {
	*Recorder
	store *memoryStore
	logs  *ingresstest.Log
}

// runLocked runs a check while Run waits for the locks.
func (b *bundle) runLocked(check func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	check()
}

// setup returns a Recorder whose clock is that of the test's bubble.
func setup(t *testing.T, cfg Config) *bundle {
	t.Helper()
	b := &bundle{store: &memoryStore{}, logs: &ingresstest.Log{}}
	r, err := New(cfg, Deps{Store: b.store, Logger: slog.New(slog.NewTextHandler(b.logs, nil))})
	require.NoError(t, err)
	b.Recorder = r
	return b
}

// run starts Run and returns a function that ends it and waits for it.
func (b *bundle) run(t *testing.T) func() {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// after advances the clock of the bubble by d.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func bad(address string) Failure {
	return Failure{Source: "mailparse", Scheme: "timestamp-hmac", Code: fault.SignatureInvalid, Address: netip.MustParseAddr(address)}
}

// numbered returns one of many addresses.
func numbered(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}
