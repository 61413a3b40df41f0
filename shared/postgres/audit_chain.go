package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/auditchain"
	"mailroom/shared/ledger"
)

// AuditChain appends to the audit chain and reads it.
type AuditChain struct {
	pool *pgxpool.Pool
}

// NewAuditChain returns the store on db's connections.
func NewAuditChain(db *DB) *AuditChain { return &AuditChain{pool: db.pool} }

// Querier is a pool, a connection or a transaction.
type Querier interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// AppendAudit appends one entry to the audit chain and gives its number. The end
// of the chain is locked until q's transaction ends: append last and commit at
// once. What one statement can do may call audit_append itself.
func AppendAudit(ctx context.Context, q Querier, r ledger.AuditRecord) (seq int64, err error) {
	const query = `SELECT audit_append(@kind, @email_id, @tenant, @actor, @via, @body::jsonb)`

	body := "{}"
	if len(r.Body) > 0 {
		body = string(r.Body)
	}
	err = q.QueryRow(ctx, query, pgx.NamedArgs{
		"kind": string(r.Kind), "email_id": r.EmailID, "tenant": clean(r.Tenant), "actor": clean(r.Actor),
		"via": clean(r.Via), "body": body,
	}).Scan(&seq)
	return seq, classify("append to audit", err)
}

// AppendAudit appends one entry in a transaction of its own.
func (s *AuditChain) AppendAudit(ctx context.Context, r ledger.AuditRecord) (seq int64, err error) {
	return AppendAudit(ctx, s.pool, r)
}

// selectAudit reads whole entries; the caller adds which ones.
const selectAudit = `
SELECT seq, (extract(epoch FROM at) * 1000000)::bigint, kind, email_id, event_id, source, tenant, actor, via, body,
       content_hash, prev_hash, hash
  FROM audit`

func scanEntry(row pgx.CollectableRow) (e auditchain.Entry, err error) {
	var content, prev, hash []byte
	err = row.Scan(&e.Seq, &e.AtUnixMicro, &e.Kind, &e.EmailID, &e.EventID, &e.Source, &e.Tenant, &e.Actor, &e.Via, &e.Body,
		&content, &prev, &hash)
	copy(e.ContentHash[:], content)
	copy(e.PrevHash[:], prev)
	copy(e.Hash[:], hash)
	return e, err
}

// Audit gives up to limit entries of the audit chain that come after entry number
// after, in their order and as they are: nothing is checked.
func (s *AuditChain) Audit(ctx context.Context, after int64, limit int) ([]auditchain.Entry, error) {
	const which = ` WHERE seq > @after ORDER BY seq LIMIT @limit`

	rows, err := s.pool.Query(ctx, selectAudit+which, pgx.NamedArgs{"after": after, "limit": limit})
	if err != nil {
		return nil, classify("read audit", err)
	}
	list, err := pgx.CollectRows(rows, scanEntry)
	return list, classify("read audit", err)
}

// AuditHead gives the end of the chain. Entry 0, with a hash of zeros, is that of
// an empty one.
func (s *AuditChain) AuditHead(ctx context.Context) (auditchain.Head, error) {
	const query = `SELECT seq, hash FROM audit_head`

	var h auditchain.Head
	var hash []byte
	err := s.pool.QueryRow(ctx, query).Scan(&h.Seq, &hash)
	copy(h.Hash[:], hash)
	return h, classify("read audit head", err)
}
