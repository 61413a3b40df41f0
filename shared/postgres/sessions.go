package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/ledger"
)

// pruneEnded is how many ended sessions or logins go with each new one.
const pruneEnded = 100

// CreateSession keeps a session, and forgets some that have ended.
func (s *Access) CreateSession(ctx context.Context, session ledger.Session) error {
	const query = `
WITH ended AS (
    DELETE FROM sessions WHERE sha256 IN (
        SELECT sha256 FROM sessions WHERE expires_at < @created_at ORDER BY expires_at LIMIT @prune FOR UPDATE SKIP LOCKED))
INSERT INTO sessions (sha256, token_sha256, name, display, groups, csrf, created_at, seen_at, expires_at)
VALUES (@sha256, @token, @name, @display, @groups, @csrf, @created_at, @seen_at, @expires_at)`
	var token []byte
	if session.Token != nil {
		token = session.Token[:]
	}
	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{
		"sha256": session.SHA256[:], "token": token, "name": clean(session.Name), "display": clean(session.Display),
		"groups": cleanAll(session.Groups), "csrf": session.CSRF, "created_at": session.CreatedAt, "seen_at": session.SeenAt,
		"expires_at": session.ExpiresAt, "prune": pruneEnded,
	})
	return classify("create session", err)
}

// FindSession gives the session of a cookie's hash, and not_found where there is
// none. Whether it has ended is the caller's to see.
func (s *Access) FindSession(ctx context.Context, sum [32]byte) (ledger.Session, error) {
	const query = `
SELECT token_sha256, name, display, groups, csrf, created_at, seen_at, expires_at FROM sessions WHERE sha256 = @sha256`
	found := ledger.Session{SHA256: sum}
	var token []byte
	err := s.pool.QueryRow(ctx, query, pgx.NamedArgs{"sha256": sum[:]}).Scan(
		&token, &found.Name, &found.Display, &found.Groups, &found.CSRF, &found.CreatedAt, &found.SeenAt, &found.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, ledger.NoSuchSession()
	}
	if token != nil {
		found.Token = (*[32]byte)(token)
	}
	return found, classify("find session", err)
}

// TouchSession notes that a session was used.
func (s *Access) TouchSession(ctx context.Context, sum [32]byte, at time.Time) error {
	const query = `UPDATE sessions SET seen_at = greatest(seen_at, @at) WHERE sha256 = @sha256`
	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{"sha256": sum[:], "at": at})
	return classify("touch session", err)
}

// EndSession forgets a session. One that is not there is no error.
func (s *Access) EndSession(ctx context.Context, sum [32]byte) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM sessions WHERE sha256 = @sha256`, pgx.NamedArgs{"sha256": sum[:]})
	return classify("end session", err)
}

// SaveLogin keeps a login that begins, and forgets some that never came back.
func (s *Access) SaveLogin(ctx context.Context, l ledger.Login, now time.Time) error {
	const query = `
WITH ended AS (
    DELETE FROM logins WHERE state_sha256 IN (
        SELECT state_sha256 FROM logins WHERE expires_at < @now ORDER BY expires_at LIMIT @prune FOR UPDATE SKIP LOCKED))
INSERT INTO logins (state_sha256, browser_sha256, verifier, nonce, next, expires_at)
VALUES (@state, @browser, @verifier, @nonce, @next, @expires_at)`
	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{
		"state": l.State[:], "browser": l.Browser[:], "verifier": l.Verifier, "nonce": l.Nonce, "next": l.Next,
		"expires_at": l.ExpiresAt, "now": now, "prune": pruneEnded,
	})
	return classify("save login", err)
}

// TakeLogin gives a login by the hash of its state, once: the next time it is
// not_found.
func (s *Access) TakeLogin(ctx context.Context, state [32]byte) (ledger.Login, error) {
	const query = `
DELETE FROM logins WHERE state_sha256 = @state RETURNING browser_sha256, verifier, nonce, next, expires_at`
	l := ledger.Login{State: state}
	var browser []byte
	err := s.pool.QueryRow(ctx, query, pgx.NamedArgs{"state": state[:]}).Scan(
		&browser, &l.Verifier, &l.Nonce, &l.Next, &l.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return l, ledger.NoSuchLogin()
	}
	copy(l.Browser[:], browser)
	return l, classify("take login", err)
}
