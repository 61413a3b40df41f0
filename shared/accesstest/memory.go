package accesstest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Memory is a Store in memory. It is safe for concurrent use.
type Memory struct {
	mu       sync.Mutex
	err      error
	tokens   map[[32]byte]ledger.Token
	sessions map[[32]byte]ledger.Session
	logins   map[[32]byte]ledger.Login
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		tokens: map[[32]byte]ledger.Token{}, sessions: map[[32]byte]ledger.Session{}, logins: map[[32]byte]ledger.Login{},
	}
}

// Fail makes every later call fail with err, or succeed again if err is nil.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// CreateToken implements Store.
func (m *Memory) CreateToken(_ context.Context, t ledger.Token, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, known := range m.tokens {
		if known.Name == t.Name {
			return fault.New(fault.RequestInvalid, "there is or was a token of this name")
		}
	}
	if m.err == nil {
		m.tokens[t.SHA256] = t
	}
	return m.err
}

// RevokeToken implements Store.
func (m *Memory) RevokeToken(_ context.Context, name, by, _ string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for sum, t := range m.tokens {
		if t.Name == name {
			if t.RevokedAt == nil && m.err == nil {
				t.RevokedAt, t.RevokedBy = &at, by
				m.tokens[sum] = t
			}
			return m.err
		}
	}
	return m.notFound("there is no token of this name")
}

// Tokens implements Store.
func (m *Memory) Tokens(context.Context) ([]ledger.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []ledger.Token{}
	for _, t := range m.tokens {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b ledger.Token) int { return cmp.Compare(a.Name, b.Name) })
	return list, m.err
}

// FindToken implements Store.
func (m *Memory) FindToken(_ context.Context, sum [32]byte) (ledger.Token, error) {
	return find(m, m.tokens, sum, "no such token")
}

// TouchToken implements Store.
func (m *Memory) TouchToken(_ context.Context, sum [32]byte, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.tokens[sum]; ok && (t.LastUsedAt == nil || t.LastUsedAt.Before(at)) {
		t.LastUsedAt = &at
		m.tokens[sum] = t
	}
	return m.err
}

// CreateSession implements Store.
func (m *Memory) CreateSession(_ context.Context, s ledger.Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for sum, old := range m.sessions {
		if old.ExpiresAt.Before(s.CreatedAt) {
			delete(m.sessions, sum)
		}
	}
	if m.err == nil {
		m.sessions[s.SHA256] = s
	}
	return m.err
}

// FindSession implements Store.
func (m *Memory) FindSession(_ context.Context, sum [32]byte) (ledger.Session, error) {
	return find(m, m.sessions, sum, "no such session")
}

// TouchSession implements Store.
func (m *Memory) TouchSession(_ context.Context, sum [32]byte, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.sessions[sum]; ok && s.SeenAt.Before(at) {
		s.SeenAt = at
		m.sessions[sum] = s
	}
	return m.err
}

// EndSession implements Store.
func (m *Memory) EndSession(_ context.Context, sum [32]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		delete(m.sessions, sum)
	}
	return m.err
}

// SaveLogin implements Store.
func (m *Memory) SaveLogin(_ context.Context, l ledger.Login, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for state, old := range m.logins {
		if old.ExpiresAt.Before(now) {
			delete(m.logins, state)
		}
	}
	if m.err == nil {
		m.logins[l.State] = l
	}
	return m.err
}

// TakeLogin implements Store.
func (m *Memory) TakeLogin(_ context.Context, state [32]byte) (ledger.Login, error) {
	l, err := find(m, m.logins, state, "no such login")
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.logins, state)
	return l, err
}

// notFound returns the error of Fail if there is one, else a fault of code not_found.
func (m *Memory) notFound(missing string) error {
	if m.err != nil {
		return m.err
	}
	return fault.New(fault.NotFound, missing)
}

// find returns the row with the SHA-256 sum.
func find[T any](m *Memory, rows map[[32]byte]T, sum [32]byte, missing string) (T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, ok := rows[sum]
	if !ok || m.err != nil {
		var none T
		return none, m.notFound(missing)
	}
	return row, nil
}
