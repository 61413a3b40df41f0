package docs_test

import (
	"context"
	"crypto/rand"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
	"mailroom/shared/testenv"
)

// TestRolesOfPostgresAsDocumented runs the SQL of production.md under other names, migrates
// as the owner, applies grants.sql, and uses each role with its own password.
func TestRolesOfPostgresAsDocumented(t *testing.T) {
	t.Parallel()
	server := testenv.PostgresServer(t)
	name := "docs_" + strings.ToLower(rand.Text()[:10])
	rename := func(text string) string {
		return regexp.MustCompile(`\bmailroom(_ingress|_worker|)\b`).ReplaceAllString(text, name+"$1")
	}
	sql := blocks(read(t, "production.md"), "sql")
	require.Len(t, sql, 1)

	admin := connect(t, server)
	for statement := range strings.SplitSeq(rename(sql[0]), ";") { // CREATE DATABASE stands alone
		execute(t, admin, statement)
	}
	t.Cleanup(func() { dropRoles(t, server, name) })

	as := func(role, password string) string {
		u, err := url.Parse(server)
		require.NoError(t, err)
		u.User, u.Path = url.UserPassword(role, password), "/"+name
		return u.String()
	}
	owner := as(name, "OWNER_PASSWORD")
	require.NoError(t, postgres.Migrate(t.Context(), owner))
	why, err := postgres.EnsureSearchIndex(t.Context(), owner)
	require.NoError(t, err)
	require.Empty(t, why, "the owner may create the extension")
	execute(t, connect(t, owner), rename(read(t, root+"/deploy/compose/grants.sql")))

	for role, password := range map[string]string{name + "_ingress": "INGRESS_PASSWORD", name + "_worker": "WORKER_PASSWORD"} {
		conn := connect(t, as(role, password))
		execute(t, conn, "SELECT FROM emails")
		_, err := conn.Exec(t.Context(), "CREATE TABLE mine (n int)")
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused, role)
		require.Equal(t, "42501", refused.Code, role)
	}
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err, sql)
}

func dropRoles(t *testing.T, server, name string) {
	t.Helper()
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, server)
	require.NoError(t, err)
	defer func() { _ = admin.Close(ctx) }()
	for _, statement := range []string{
		"DROP DATABASE " + name + " WITH (FORCE)", "DROP ROLE " + name + "_ingress, " + name + "_worker, " + name,
	} {
		_, err := admin.Exec(ctx, statement)
		require.NoError(t, err)
	}
}

// TestEveryTableHasItsRetention compares the tables of data.md with those of the schema.
func TestEveryTableHasItsRetention(t *testing.T) {
	t.Parallel()
	rows, err := connect(t, pgtest.URL(t)).Query(t.Context(), "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, tables, listedTables(t))
}

// TestEveryNewTableHasItsRetention is the same without a database, from the migrations.
func TestEveryNewTableHasItsRetention(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(postgres.Migrations(), "*.sql")
	require.NoError(t, err)
	created := regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)

	for _, file := range files {
		text, err := fs.ReadFile(postgres.Migrations(), file)
		require.NoError(t, err)
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		for _, m := range created.FindAllStringSubmatch(up, -1) {
			require.Contains(t, listedTables(t), m[1], "%s: data.md does not say how long this table is kept", file)
		}
	}
}

// listedTables returns the tables of data.md in order.
func listedTables(t *testing.T) []string {
	t.Helper()
	var listed []string
	section := regexp.MustCompile(`(?s)## In PostgreSQL\n(.*?)\n## `).FindStringSubmatch(read(t, "data.md"))
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(section[1], -1) {
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
			listed = append(listed, m[1])
		}
	}
	slices.Sort(listed)
	return listed
}
