package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/postgres/dbsqlc"
)

// Views reads emails for operators: lists and searches, one email and its timeline, and counts.
type Views struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewViews returns the store on db's connections.
func NewViews(db *DB) *Views { return &Views{pool: db.pool, queries: dbsqlc.New(db.pool)} }
