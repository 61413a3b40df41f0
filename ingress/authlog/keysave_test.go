package authlog

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres"
)

var _ UseStore = (*postgres.UsedSecrets)(nil)

// memoryUses counts the writes.
type memoryUses struct {
	mu     sync.Mutex
	writes int
	uses   map[string]time.Time // by source, reference and scheme
	err    error
}

func (s *memoryUses) SaveSecretUses(ctx context.Context, uses []ledger.SecretUse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.err != nil || ctx.Err() != nil {
		return errors.Join(s.err, ctx.Err())
	}
	for _, u := range uses {
		s.uses[u.Source+" "+u.Ref+" "+u.Scheme] = u.UsedAt
	}
	return nil
}

// saved returns how often was written, and what is kept.
func (s *memoryUses) saved() (writes int, uses map[string]time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes, maps.Clone(s.uses)
}

func (s *memoryUses) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// TestKeyUseIsSavedByTheMinute: however many requests there are, a minute costs one write,
// and one in which no secret was used costs none.
func TestKeyUseIsSavedByTheMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u, store, logs := NewKeyUse(twoSources()), &memoryUses{uses: map[string]time.Time{}}, &ingresstest.Log{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			u.Run(ctx, store, slog.New(slog.NewTextHandler(logs, nil)))
		}()

		for range 30 { // half a minute
			for range 100 {
				u.RecordUse("mailparse", 1, time.Now())
				u.RecordUse("mailparse", 2, time.Now())
				u.RecordUse("open", 0, time.Now())
			}
			after(time.Second)
		}
		writes, _ := store.saved()
		require.Zero(t, writes)
		after(10 * time.Minute)
		writes, uses := store.saved()
		require.Equal(t, 1, writes)
		require.Len(t, uses, 3)
		first := uses["mailparse env:NOW "]
		require.Equal(t, u.LastUse("mailparse", 1), first)
		require.Equal(t, u.LastUse("open", 0), uses["open  "])

		// What cannot be saved is saved later, and logged once.
		store.failWith(errors.New("no database"))
		u.RecordUse("mailparse", 1, time.Now())
		after(3 * time.Minute)
		writes, uses = store.saved()
		require.Equal(t, 4, writes)
		require.Equal(t, first, uses["mailparse env:NOW "])
		store.failWith(nil)
		after(time.Minute)
		_, uses = store.saved()
		require.Equal(t, u.LastUse("mailparse", 1), uses["mailparse env:NOW "])
		require.Equal(t, 1, strings.Count(logs.String(), "audit.uses_not_saved"))
		require.Equal(t, 1, strings.Count(logs.String(), "audit.uses_saved_again"))

		// The end saves as well.
		u.RecordUse("mailparse", 2, time.Now())
		cancel()
		<-done
		_, uses = store.saved()
		require.Equal(t, u.LastUse("mailparse", 2), uses["mailparse env:BEFORE "])
	})
}
