// Package pgtest creates a migrated database for each test.
//
// Invariants: the migrations run once per set of migration files and server, in a template
// database; a test's database is a copy of the template and is dropped when the test ends.
// Without a server the test is skipped, or fails, as in shared/testenv. Only tests import
// this package.
//
// The stores are those of shared/postgres; to fill a database with many emails, use
// shared/ledgertest.
package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/postgres"
	"mailroom/shared/testenv"
)

const (
	patience = time.Minute // the longest time for creating or dropping a database
	maxConns = 8           // of a test's pool
	// buildLock is the advisory lock that lets one of many test programs build the
	// template.
	buildLock = 0x6d61696c
)

// DB is a database and every store on its pool.
type DB struct {
	*postgres.DB
	*postgres.Inbox
	*postgres.Backfill
	*postgres.Emails
	*postgres.Views
	*postgres.Decisions
	*postgres.Deliveries
	*postgres.Batches
	*postgres.BatchWork
	*postgres.Maintenance
	*postgres.Removal
	*postgres.Access
	*postgres.AuditChain
	*postgres.AuthFailures
	*postgres.UsedSecrets
	*postgres.Workers
}

// Stores returns every store on the pool of db.
func Stores(db *postgres.DB) *DB {
	return &DB{
		DB:           db,
		Inbox:        postgres.NewInbox(db),
		Backfill:     postgres.NewBackfill(db),
		Emails:       postgres.NewEmails(db),
		Views:        postgres.NewViews(db),
		Decisions:    postgres.NewDecisions(db),
		Deliveries:   postgres.NewDeliveries(db),
		Batches:      postgres.NewBatches(db),
		BatchWork:    postgres.NewBatchWork(db),
		Maintenance:  postgres.NewMaintenance(db),
		Removal:      postgres.NewRemoval(db),
		Access:       postgres.NewAccess(db),
		AuditChain:   postgres.NewAuditChain(db),
		AuthFailures: postgres.NewAuthFailures(db),
		UsedSecrets:  postgres.NewUsedSecrets(db),
		Workers:      postgres.NewWorkers(db),
	}
}

// New returns an open, migrated, empty database with a pool of eight connections. It is
// closed and dropped when the test ends.
func New(t testing.TB) *DB {
	t.Helper()
	return Open(t, URL(t), maxConns)
}

// Open opens url with a pool of conns connections, which is closed when the test ends.
func Open(t testing.TB, url string, conns int32) *DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), url, postgres.Config{MaxConns: conns})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return Stores(db)
}

// URL creates a migrated, empty database and returns its URL. It is dropped when the test
// ends.
func URL(t testing.TB) string {
	t.Helper()
	server := testenv.PostgresServer(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()

	template, err := ensureTemplate(ctx, conn, server)
	require.NoError(t, err)
	id := uuid.New()
	name := "t_" + hex.EncodeToString(id[:])
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template)
	require.NoError(t, err)
	t.Cleanup(func() { dropDatabase(t, server, name) })

	return databaseURL(t, server, name)
}

// ensureTemplate returns the name of the template, which depends on the content of the
// migrations, and builds the template if there is none. It is built under another name, so
// that an incomplete one is never used.
func ensureTemplate(ctx context.Context, conn *pgx.Conn, server string) (string, error) {
	name, err := templateName()
	if err != nil {
		return "", err
	}

	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", buildLock); err != nil {
		return "", fmt.Errorf("lock template: %w", err)
	}
	defer func() { _, _ = conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", buildLock) }()

	var there bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
	if err != nil || there {
		return name, err
	}

	building := name + "_building"
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + building, "CREATE DATABASE " + building + " TEMPLATE template0"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return "", fmt.Errorf("build template: %w", err)
		}
	}

	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("build template: %w", err)
	}
	u.Path = "/" + building
	if err := postgres.Migrate(ctx, u.String()); err != nil {
		return "", fmt.Errorf("build template: %w", err)
	}

	_, err = conn.Exec(ctx, "ALTER DATABASE "+building+" RENAME TO "+name)
	return name, err
}

// templateName returns a name that contains a hash of every migration file.
func templateName() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(postgres.Migrations(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(postgres.Migrations(), path)
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		return err
	})
	return "mailroom_" + hex.EncodeToString(sum.Sum(nil)[:8]), err
}

// CountInbox returns how many rows wait in the inbox.
func (d *DB) CountInbox(t testing.TB) int {
	t.Helper()
	n, _, err := d.InboxDepth(t.Context())
	require.NoError(t, err)
	return int(n)
}

// databaseURL returns the URL of a database on the server.
func databaseURL(t testing.TB, server, database string) string {
	t.Helper()
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.Path = "/" + database
	return u.String()
}

// dropDatabase drops a database and ends its connections.
func dropDatabase(t testing.TB, server, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	require.NoError(t, err)
}
