package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/auditchain"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// AuditChain appends to the audit chain and reads it.
type AuditChain struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewAuditChain returns the store on db's connections.
func NewAuditChain(db *DB) *AuditChain {
	return &AuditChain{pool: db.pool, queries: dbsqlc.New(db.pool)}
}

// AppendAudit appends one entry to the audit chain and returns its number. The end
// of the chain is locked until db's transaction ends: append last and commit at
// once. What one statement can do may call audit_append itself.
func AppendAudit(ctx context.Context, db dbsqlc.DBTX, r ledger.AuditRecord) (seq int64, err error) {
	body := []byte("{}")
	if len(r.Body) > 0 {
		body = r.Body
	}
	seq, err = dbsqlc.New(db).AppendAudit(ctx, dbsqlc.AppendAuditParams{
		Kind: string(r.Kind), EmailID: r.EmailID, Tenant: clean(r.Tenant), Actor: clean(r.Actor), Via: clean(r.Via), Body: body,
	})
	return seq, classify("append to audit", err)
}

// AppendAudit appends one entry in a transaction of its own.
func (s *AuditChain) AppendAudit(ctx context.Context, r ledger.AuditRecord) (seq int64, err error) {
	return AppendAudit(ctx, s.pool, r)
}

func entryOf(r dbsqlc.ListAuditRow) auditchain.Entry {
	return auditchain.Entry{
		Seq: r.Seq, AtUnixMicro: r.AtUnixMicro, Kind: r.Kind, EmailID: r.EmailID, EventID: r.EventID, Source: r.Source,
		Tenant: r.Tenant, Actor: r.Actor, Via: r.Via, Body: r.Body,
		ContentHash: contract.Digest(r.ContentHash), PrevHash: contract.Digest(r.PrevHash), Hash: contract.Digest(r.Hash),
	}
}

// Audit returns up to limit entries of the audit chain that come after entry number
// after, in their order and as they are: nothing is checked.
func (s *AuditChain) Audit(ctx context.Context, after int64, limit int) ([]auditchain.Entry, error) {
	rows, err := s.queries.ListAudit(ctx, dbsqlc.ListAuditParams{After: after, MaxRows: int64(limit)})
	if err != nil {
		return nil, classify("read audit", err)
	}

	list := make([]auditchain.Entry, len(rows))
	for i, r := range rows {
		list[i] = entryOf(r)
	}
	return list, nil
}

// AuditHead returns the end of the chain. Entry 0, with a hash of zeros, is that of
// an empty one.
func (s *AuditChain) AuditHead(ctx context.Context) (auditchain.Head, error) {
	r, err := s.queries.AuditHead(ctx)
	if err != nil {
		return auditchain.Head{}, classify("read audit head", err)
	}
	return auditchain.Head{Seq: r.Seq, Hash: contract.Digest(r.Hash)}, nil
}
