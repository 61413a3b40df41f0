package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var embedded embed.FS

// lockTries is how often Migrate tries to get the lock, once a second, while another one
// runs.
const lockTries = 300

// undefinedTable is the SQLSTATE of a table that does not exist.
const undefinedTable = "42P01"

// Migrations returns the migration files, named NNNN_verb_noun.sql.
func Migrations() fs.FS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the folder is embedded at build time
	}
	return sub
}

// Migrate brings the database at url to the newest migration. Several may call
// it at once: a session lock lets one work and the others find nothing to do. A migration
// that fails leaves nothing of itself, and is named; those before it stay.
func Migrate(ctx context.Context, url string) error {
	conf, err := pgx.ParseConfig(url)
	if err != nil {
		return errors.New("migrate: the URL is not a PostgreSQL connection string")
	}
	db := stdlib.OpenDB(*conf)
	defer func() { _ = db.Close() }()

	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, lockTries))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, Migrations(),
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}

	_, err = provider.Up(ctx)
	var failed *goose.PartialError
	if errors.As(err, &failed) {
		return classify("migration "+path.Base(failed.Failed.Source.Path), failed.Err)
	}
	return classify("migrate", err)
}

// EnsureSearchIndex makes the index of searches where the migration could not,
// because pg_trgm was missing or not allowed then. why is empty when the index is
// there, else what the server says.
func EnsureSearchIndex(ctx context.Context, url string) (why string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", classify("index search", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, `SELECT ensure_search_index()`).Scan(&why)
	return why, classify("index search", err)
}

// Pending is nil when every migration this program knows is applied; else its
// error names the first that is not and the command that applies it. It changes
// nothing. Migrations that only a newer program knows do no harm.
func (db *DB) Pending(ctx context.Context) error {
	const query = `SELECT version_id FROM goose_db_version WHERE is_applied`

	rows, _ := db.pool.Query(ctx, query) // its error comes with the rows
	versions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	var pg *pgconn.PgError
	if err != nil && (!errors.As(err, &pg) || pg.Code != undefinedTable) {
		return classify("read migrations", err)
	}
	applied := make(map[int64]bool, len(versions))
	for _, v := range versions {
		applied[v] = true
	}
	names, err := fs.Glob(Migrations(), "*.sql")
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return fmt.Errorf("list migrations: %w", err)
		}
		if !applied[version] {
			return fmt.Errorf("migration %s is not applied: run `mailroom migrate`", name)
		}
	}
	return nil
}
