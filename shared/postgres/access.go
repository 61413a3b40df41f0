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
)

// Access is the store of API tokens, sessions of the console and logins under way.
type Access struct {
	pool *pgxpool.Pool
}

// NewAccess returns the store on db's connections.
func NewAccess(db *DB) *Access { return &Access{pool: db.pool} }

//nolint:gosec // a query
const selectToken = `
SELECT name, sha256, roles, created_by, coalesce(nullif(owner, ''), created_by), created_at, expires_at, revoked_by, revoked_at,
       last_used_at FROM tokens`

func scanToken(row pgx.CollectableRow) (t ledger.Token, err error) {
	var sum, roles []byte
	err = row.Scan(&t.Name, &sum, &roles, &t.CreatedBy, &t.Owner, &t.CreatedAt, &t.ExpiresAt, &t.RevokedBy, &t.RevokedAt, &t.LastUsedAt)
	if err != nil {
		return t, err
	}
	copy(t.SHA256[:], sum)
	if err := json.Unmarshal(roles, &t.Roles); err != nil {
		return t, fmt.Errorf("roles of token %s: %w", t.Name, err)
	}
	return t, nil
}

// CreateToken keeps a token and puts it into the audit chain, both or neither. A
// name that a token has or had is request_invalid.
func (s *Access) CreateToken(ctx context.Context, t ledger.Token, via string) error {
	const query = `
INSERT INTO tokens (name, sha256, roles, created_by, owner, created_at, expires_at)
VALUES (@name, @sha256, @roles, @created_by, @owner, @created_at, @expires_at)
ON CONFLICT (name) DO NOTHING`
	roles, err := json.Marshal(t.Roles)
	if err != nil {
		return fmt.Errorf("create token: %w", err)
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query, pgx.NamedArgs{
			"name": t.Name, "sha256": t.SHA256[:], "roles": roles, "created_by": clean(t.CreatedBy), "owner": clean(t.Owner),
			"created_at": t.CreatedAt, "expires_at": t.ExpiresAt,
		})
		if err != nil {
			return err //nolint:wrapcheck // classified below
		}
		if tag.RowsAffected() == 0 {
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
	const (
		query = `UPDATE tokens SET revoked_at = @at, revoked_by = @by WHERE name = @name AND revoked_at IS NULL`
		known = `SELECT EXISTS (SELECT FROM tokens WHERE name = @name)`
	)
	args := pgx.NamedArgs{"name": clean(name), "by": clean(by), "at": at}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query, args)
		if err != nil {
			return err //nolint:wrapcheck // classified below
		}
		if tag.RowsAffected() == 1 {
			return auditToken(ctx, tx, by, via, map[string]any{"action": "revoke", "name": name})
		}
		var there bool
		if err := tx.QueryRow(ctx, known, args).Scan(&there); err != nil {
			return err
		}
		if !there {
			return ledger.NoSuchToken()
		}
		return nil
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
	rows, err := s.pool.Query(ctx, selectToken+` ORDER BY name`)
	if err != nil {
		return nil, classify("list tokens", err)
	}
	list, err := pgx.CollectRows(rows, scanToken)
	return list, classify("list tokens", err)
}

// FindToken gives the token of a hash, whether it is still good or not, and
// not_found where there is none.
func (s *Access) FindToken(ctx context.Context, sum [32]byte) (ledger.Token, error) {
	rows, err := s.pool.Query(ctx, selectToken+` WHERE sha256 = @sha256`, pgx.NamedArgs{"sha256": sum[:]})
	if err != nil {
		return ledger.Token{}, classify("find token", err)
	}
	t, err := pgx.CollectExactlyOneRow(rows, scanToken)
	if errors.Is(err, pgx.ErrNoRows) {
		return t, ledger.NoSuchToken()
	}
	return t, classify("find token", err)
}

// TouchToken notes that a token was used.
func (s *Access) TouchToken(ctx context.Context, sum [32]byte, at time.Time) error {
	const query = `UPDATE tokens SET last_used_at = greatest(last_used_at, @at) WHERE sha256 = @sha256`
	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{"sha256": sum[:], "at": at})
	return classify("touch token", err)
}
