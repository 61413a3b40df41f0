package postgres

import (
	"context"
	"time"

	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// UsedSecrets is the store of when secrets of sources were last used.
type UsedSecrets struct {
	queries *dbsqlc.Queries
}

// NewUsedSecrets returns the store on db's connections.
func NewUsedSecrets(db *DB) *UsedSecrets { return &UsedSecrets{queries: dbsqlc.New(db.pool)} }

// maxSecretUses bounds a list of uses: a source has few secrets.
const maxSecretUses = 10_000

// SaveSecretUses stores uses, each secret once. A time before the stored one changes nothing.
func (s *UsedSecrets) SaveSecretUses(ctx context.Context, uses []ledger.SecretUse) error {
	if len(uses) == 0 {
		return nil
	}
	n := len(uses)
	p := dbsqlc.SaveSecretUsesParams{
		Sources: make([]string, n), Refs: make([]string, n), Schemes: make([]string, n), Times: make([]time.Time, n),
	}
	for i, u := range uses {
		p.Sources[i], p.Refs[i], p.Schemes[i], p.Times[i] = clean(u.Source), clean(u.Ref), clean(u.Scheme), u.UsedAt
	}
	return classify("save uses of secrets", s.queries.SaveSecretUses(ctx, p))
}

// SecretUses returns the uses of the secrets of these sources, also of secrets that are not
// configured any more.
func (s *UsedSecrets) SecretUses(ctx context.Context, sources []string) ([]ledger.SecretUse, error) {
	rows, err := s.queries.ListSecretUses(ctx, dbsqlc.ListSecretUsesParams{Sources: sources, MaxRows: maxSecretUses})
	if err != nil {
		return nil, classify("list uses of secrets", err)
	}
	list := make([]ledger.SecretUse, len(rows))
	for i, r := range rows {
		list[i] = ledger.SecretUse{Source: r.Source, Ref: r.Ref, Scheme: r.Scheme, UsedAt: r.UsedAt.UTC()}
	}
	return list, nil
}
