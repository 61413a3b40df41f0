package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// pruneEnded is how many ended sessions or logins go with each new one.
const pruneEnded = 100

// CreateSession keeps a session, and forgets some that have ended.
func (s *Access) CreateSession(ctx context.Context, session ledger.Session) error {
	var token []byte
	if session.Token != nil {
		token = session.Token[:]
	}
	err := s.queries.InsertSession(ctx, dbsqlc.InsertSessionParams{
		SHA256: session.SHA256[:], TokenSHA256: token, Name: clean(session.Name), Display: clean(session.Display),
		Groups: cleanAll(session.Groups), Csrf: session.CSRF, CreatedAt: session.CreatedAt, SeenAt: session.SeenAt,
		ExpiresAt: session.ExpiresAt, Prune: pruneEnded,
	})
	return classify("create session", err)
}

// FindSession returns the session of a cookie's hash, and not_found where there is
// none. Whether it has ended is the caller's to see.
func (s *Access) FindSession(ctx context.Context, sum [32]byte) (ledger.Session, error) {
	r, err := s.queries.FindSession(ctx, sum[:])
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.Session{}, ledger.NoSuchSession()
	}
	if err != nil {
		return ledger.Session{}, classify("find session", err)
	}

	found := ledger.Session{
		SHA256: sum, Name: r.Name, Display: r.Display, Groups: r.Groups, CSRF: r.Csrf, CreatedAt: r.CreatedAt,
		SeenAt: r.SeenAt, ExpiresAt: r.ExpiresAt,
	}
	if r.TokenSHA256 != nil {
		found.Token = (*[32]byte)(r.TokenSHA256)
	}
	return found, nil
}

// TouchSession notes that a session was used.
func (s *Access) TouchSession(ctx context.Context, sum [32]byte, at time.Time) error {
	err := s.queries.TouchSession(ctx, dbsqlc.TouchSessionParams{SHA256: sum[:], At: at})
	return classify("touch session", err)
}

// EndSession forgets a session. One that is not there is no error.
func (s *Access) EndSession(ctx context.Context, sum [32]byte) error {
	err := s.queries.DeleteSession(ctx, sum[:])
	return classify("end session", err)
}

// SaveLogin keeps a login that begins, and forgets some that never came back.
func (s *Access) SaveLogin(ctx context.Context, l ledger.Login, now time.Time) error {
	err := s.queries.InsertLogin(ctx, dbsqlc.InsertLoginParams{
		State: l.State[:], Browser: l.Browser[:], Verifier: l.Verifier, Nonce: l.Nonce, Next: l.Next,
		ExpiresAt: l.ExpiresAt, Now: now, Prune: pruneEnded,
	})
	return classify("save login", err)
}

// TakeLogin returns a login by the hash of its state, once: the next time it is
// not_found.
func (s *Access) TakeLogin(ctx context.Context, state [32]byte) (ledger.Login, error) {
	r, err := s.queries.TakeLogin(ctx, state[:])
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.Login{}, ledger.NoSuchLogin()
	}
	if err != nil {
		return ledger.Login{}, classify("take login", err)
	}
	return ledger.Login{
		State: state, Browser: [32]byte(r.BrowserSHA256), Verifier: r.Verifier, Nonce: r.Nonce, Next: r.Next, ExpiresAt: r.ExpiresAt,
	}, nil
}
