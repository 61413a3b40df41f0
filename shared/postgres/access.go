package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// Access is the store of API tokens, sessions of the console and logins under way.
type Access struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewAccess returns the store on db's connections.
func NewAccess(db *DB) *Access { return &Access{pool: db.pool, queries: dbsqlc.New(db.pool)} }

func tokenOf(r dbsqlc.FindTokenRow) (ledger.Token, error) {
	t := ledger.Token{
		Name: r.Name, SHA256: [32]byte(r.SHA256), CreatedBy: r.CreatedBy, Owner: r.Owner, CreatedAt: r.CreatedAt,
		ExpiresAt: r.ExpiresAt, RevokedBy: r.RevokedBy, RevokedAt: r.RevokedAt, LastUsedAt: r.LastUsedAt,
	}
	if err := json.Unmarshal(r.Roles, &t.Roles); err != nil {
		return t, fmt.Errorf("roles of token %s: %w", t.Name, err)
	}
	return t, nil
}

// CreateToken keeps a token and puts it into the audit chain, both or neither. A
// name that a token has or had is request_invalid.
func (s *Access) CreateToken(ctx context.Context, t ledger.Token, via string) error {
	roles, err := json.Marshal(t.Roles)
	if err != nil {
		return fmt.Errorf("create token: %w", err)
	}

	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		added, err := s.queries.WithTx(tx).InsertToken(ctx, dbsqlc.InsertTokenParams{
			Name: t.Name, SHA256: t.SHA256[:], Roles: roles, CreatedBy: clean(t.CreatedBy), Owner: clean(t.Owner),
			CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt,
		})
		if err != nil {
			return err
		}
		if added == 0 {
			return ledger.TokenNameTaken()
		}
		return auditToken(ctx, tx, t.CreatedBy, via, map[string]any{
			"action": "create", "name": t.Name, "owner": t.Owner, "roles": t.Roles, "expires_at": t.ExpiresAt,
		})
	})
	return classify("create token", err)
}

// RevokeToken ends a token for good and puts that into the audit chain. One that
// is revoked already stays as it is; one that never was is not_found.
func (s *Access) RevokeToken(ctx context.Context, name, by, via string, at time.Time) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		queries := s.queries.WithTx(tx)
		revoked, err := queries.RevokeToken(ctx, dbsqlc.RevokeTokenParams{Name: clean(name), By: clean(by), At: at})
		if err != nil {
			return err
		}
		if revoked == 1 {
			return auditToken(ctx, tx, by, via, map[string]any{"action": "revoke", "name": name})
		}

		there, err := queries.TokenExists(ctx, clean(name))
		if err == nil && !there {
			err = ledger.NoSuchToken()
		}
		return err
	})
	return classify("revoke token", err)
}

func auditToken(ctx context.Context, tx pgx.Tx, actor, via string, body map[string]any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("audit token: %w", err)
	}
	_, err = AppendAudit(ctx, tx, ledger.AuditRecord{Kind: ledger.AuditToken, Actor: actor, Via: via, Body: text})
	return err
}

// Tokens lists every token that is or was, by name.
func (s *Access) Tokens(ctx context.Context) ([]ledger.Token, error) {
	rows, err := s.queries.ListTokens(ctx)
	if err != nil {
		return nil, classify("list tokens", err)
	}

	list := make([]ledger.Token, len(rows))
	for i, r := range rows {
		if list[i], err = tokenOf(dbsqlc.FindTokenRow(r)); err != nil {
			return nil, classify("list tokens", err)
		}
	}
	return list, nil
}

// FindToken returns the token of a hash, whether it is still good or not, and
// not_found where there is none.
func (s *Access) FindToken(ctx context.Context, sum [32]byte) (ledger.Token, error) {
	r, err := s.queries.FindToken(ctx, sum[:])
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.Token{}, ledger.NoSuchToken()
	}
	if err != nil {
		return ledger.Token{}, classify("find token", err)
	}
	t, err := tokenOf(r)
	return t, classify("find token", err)
}

// TouchToken notes that a token was used.
func (s *Access) TouchToken(ctx context.Context, sum [32]byte, at time.Time) error {
	err := s.queries.TouchToken(ctx, dbsqlc.TouchTokenParams{SHA256: sum[:], At: at})
	return classify("touch token", err)
}
