package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/postgres/dbsqlc"
)

// Emails is the store of what the steps of a workflow read and write about its email.
type Emails struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewEmails returns the store on db's connections.
func NewEmails(db *DB) *Emails { return &Emails{pool: db.pool, queries: dbsqlc.New(db.pool)} }
