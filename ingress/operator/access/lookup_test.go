package access

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// from returns a request from the address that operators share with other callers.
func from(t *testing.T) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/emails", http.NoBody)
	r.RemoteAddr = "203.0.113.9:4711"
	return r
}

func withToken(t *testing.T, token string) *http.Request {
	t.Helper()
	r := from(t)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// TestNeighbourWithBadTokens sends unknown tokens and cookies from the operators' address, at
// once and one a second. Valid tokens and sessions are still accepted, whether they were
// found before or not.
func TestNeighbourWithBadTokens(t *testing.T) {
	t.Parallel()
	a, store, text, now := open(t, "https://mailroom.example.com")
	cookie := random()
	require.NoError(t, store.CreateSession(t.Context(), ledger.Session{
		SHA256: sha256.Sum256([]byte(cookie)), Token: new(sha256.Sum256([]byte(text))), Name: "ci",
		SeenAt: *now, ExpiresAt: now.Add(time.Hour),
	}))
	good := func() {
		_, err := a.Authenticate(withToken(t, text), API)
		require.NoError(t, err)
		r := from(t)
		r.AddCookie(&http.Cookie{Name: "__Host-mailroom", Value: cookie})
		_, err = a.Authenticate(r, Page)
		require.NoError(t, err)
	}
	for range 3 * badTokens {
		bad, _ := NewToken()
		_, err := a.Authenticate(withToken(t, bad), API)
		require.Error(t, err)
		r := from(t)
		r.AddCookie(&http.Cookie{Name: "__Host-mailroom", Value: bad})
		_, err = a.Authenticate(r, Page)
		require.Error(t, err)
	}
	good()
	for range 2 * badTokens {
		*now = now.Add(time.Second)
		bad, _ := NewToken()
		_, err := a.Authenticate(withToken(t, bad), API)
		require.Error(t, err)
		good()
	}
}

// slowTokens is a store whose queries wait until released is closed.
type slowTokens struct {
	Tokens

	mu       sync.Mutex
	now      int
	most     int
	entered  chan struct{}
	released chan struct{}
}

func (s *slowTokens) FindToken(ctx context.Context, sum [32]byte) (ledger.Token, error) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	s.entered <- struct{}{}
	select {
	case <-s.released:
	case <-ctx.Done():
	}
	return s.Tokens.FindToken(ctx, sum)
}

// TestFloodLeavesPlacesToKnownTokens checks that a flood of unknown tokens runs at most two
// queries, and that a token that was valid lately is looked up concurrently.
func TestFloodLeavesPlacesToKnownTokens(t *testing.T) {
	t.Parallel()
	a, store, text, now := open(t, "")
	_, err := a.Authenticate(withToken(t, text), API)
	require.NoError(t, err)
	*now = now.Add(cacheFor)
	slow := &slowTokens{Tokens: store, entered: make(chan struct{}, 100), released: make(chan struct{})}
	a.tokens.store = slow
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	for range 20 {
		bad, _ := NewToken()
		r := withToken(t, bad).WithContext(ctx)
		flood.Go(func() { _, _ = a.Authenticate(r, API) })
	}
	<-slow.entered
	done := make(chan error, 1)
	go func() {
		_, err := a.Authenticate(withToken(t, text), API)
		done <- err
	}()
	<-slow.entered // the known token, during the flood
	require.Equal(t, 2, slow.most)
	cancel()
	flood.Wait()
	close(slow.released)
	require.NoError(t, <-done)
}

// TestLookupsAreNotKeptWaiting checks that a caller without a place is told to try again.
func TestLookupsAreNotKeptWaiting(t *testing.T) {
	t.Parallel()
	a, _, text, now := open(t, "")
	a.lookups.open <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := a.Authenticate(withToken(t, text).WithContext(ctx), API)
	require.True(t, fault.Is(err, fault.Overloaded), "%v", err)
	<-a.lookups.open
	for i := range seenRows + 10 {
		a.lookups.recordFound([32]byte{byte(i), byte(i >> 8)}, *now)
	}
	require.Len(t, a.lookups.seen, seenRows)
}
