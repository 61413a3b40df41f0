// Package compose_test checks the rights of the programs in grants.sql. What is in
// docker-compose.yml itself is checked in deploy/tools/compose.
package compose_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"mailroom/shared/pgtest"
)

const (
	ingressRole = "mailroom_ingress"
	workerRole  = "mailroom_worker"
	// refused is PostgreSQL's code for a missing privilege.
	refused = "42501"
)

// granted returns a migrated database on which grants.sql has run twice: URL for its owner,
// and one in which each role is the current one.
func granted(t *testing.T) (owner string, as map[string]string) {
	t.Helper()
	owner = pgtest.URL(t)
	grants, err := os.ReadFile("grants.sql")
	require.NoError(t, err)
	conn := connect(t, owner)
	for _, role := range []string{ingressRole, workerRole} {
		// Roles belong to the server, which other tests share.
		execute(t, conn, `DO $$ BEGIN CREATE ROLE `+role+`; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
	}
	execute(t, conn, string(grants))
	execute(t, conn, string(grants))

	as = map[string]string{}
	for _, role := range []string{ingressRole, workerRole} {
		u, err := url.Parse(owner)
		require.NoError(t, err)
		q := u.Query()
		q.Set("role", role)
		u.RawQuery = q.Encode()
		as[role] = u.String()
	}
	return owner, as
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err, sql)
}

// TestGrantsNameEveryTable: a migration that adds a table says who may use it.
func TestGrantsNameEveryTable(t *testing.T) {
	owner, _ := granted(t)
	text, err := os.ReadFile("grants.sql")
	require.NoError(t, err)
	rows, err := connect(t, owner).Query(t.Context(),
		`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')`)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(names), 25)
	for _, name := range names {
		require.Regexp(t, `\b`+regexp.QuoteMeta(name)+`\b`, string(text), "grants.sql leaves a table out")
	}
}

// TestProgramsCannotChangeTheSchema: a program that is taken over cannot remove tables,
// triggers or what must never change.
func TestProgramsCannotChangeTheSchema(t *testing.T) {
	_, as := granted(t)
	for role, statements := range map[string][]string{
		ingressRole: {
			"UPDATE attachments SET verdict = 'clean'", "DELETE FROM inbox", "DELETE FROM emails",
			"INSERT INTO deliveries (email_id, destination, state, idempotency_key) VALUES (1, 'd', 'delivered', 'k')",
		},
		workerRole: {
			"SELECT FROM tokens", "SELECT FROM sessions", "SELECT FROM logins", "SELECT FROM verification_failures",
			"DELETE FROM emails", "INSERT INTO destination_controls DEFAULT VALUES",
		},
	} {
		conn := connect(t, as[role])
		for _, statement := range append(statements,
			"CREATE TABLE mine (n int)", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "ALTER TABLE emails ADD COLUMN mine int",
			"DROP TABLE inbox", "TRUNCATE emails", "TRUNCATE audit", "ALTER TABLE audit DISABLE TRIGGER ALL", "DROP TRIGGER audit_refuse_change ON audit",
			"UPDATE audit SET actor = 'other'", "DELETE FROM audit", "UPDATE decisions SET actor = 'other'", "DELETE FROM decisions",
			"DELETE FROM audit_head", "UPDATE transitions SET state = 'delivered'", "DELETE FROM intents", "UPDATE goose_db_version SET is_applied = false",
			"CREATE EXTENSION btree_gin", "SET session_replication_role = replica", "CREATE ROLE mine",
		) {
			_, err := conn.Exec(t.Context(), statement)
			var pg *pgconn.PgError
			require.ErrorAs(t, err, &pg, "%s: %s", role, statement)
			require.Equal(t, refused, pg.Code, "%s: %s: %s", role, statement, pg.Message)
		}
	}
}

// statements returns the generated statements by name, with how many parameters each has.
func statements(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../shared/postgres/dbsqlc/*.sql.go")
	require.NoError(t, err)
	out := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile("(?s)const (\\w+) = `-- name: \\w+ :\\w+\n(.*?)`").FindAllStringSubmatch(string(text), -1) {
			out[m[1]] = m[2]
		}
	}
	require.Greater(t, len(out), 100)
	return out
}

// notRun lists the statements that a program never runs, and must not be able to.
var notRun = map[string][]string{
	ingressRole: {
		"ApplyEdit", "CancelRemoval", "ClaimReplayItems", "DeleteWantedObjects", "DeleteWorkerReport", "EndRemoval", "ForgetRemovals", "IndexSearch",
		"MarkRemoving", "RemoveContent", "SaveAsked", "SaveDelivery", "SaveDestinationStatus", "SaveGone", "SavePause",
		"SaveRecovered", "SaveRecovery", "SaveReminder", "SaveReplayResults", "SaveUnknownSignals", "SaveVerdicts", "SaveWorkerReport",
		"UnmarkWanted", "UnwantedObjectsExist",
	},
	workerRole: {
		"AddAuthFailures", "CountAuthFailures", "DeleteSession", "FindSession", "FindToken", "InsertEdit", "InsertLogin",
		"InsertSession", "InsertToken", "ListAuthFailures", "ListSecretUses", "ListTokens", "PruneAuthFailures", "RevokeToken",
		"SaveSecretUses", "SetControl", "TakeLogin", "TokenExists", "TouchSession", "TouchToken",
	},
}

// TestProgramsMayRunTheirStatements plans every statement with the rights of each program:
// PostgreSQL checks them before it runs anything.
func TestProgramsMayRunTheirStatements(t *testing.T) {
	_, as := granted(t)
	conns := map[string]*pgx.Conn{ingressRole: connect(t, as[ingressRole]), workerRole: connect(t, as[workerRole])}
	got := map[string][]string{}
	parameter := regexp.MustCompile(`\$\d+`)

	for name, sql := range statements(t) {
		n := 0
		for _, p := range parameter.FindAllString(sql, -1) {
			number, err := strconv.Atoi(p[1:])
			require.NoError(t, err)
			n = max(n, number)
		}
		execution := "EXPLAIN EXECUTE statement"
		if n > 0 {
			execution += "(" + strings.TrimSuffix(strings.Repeat("NULL,", n), ",") + ")"
		}
		for role, conn := range conns {
			execute(t, conn, "PREPARE statement AS "+sql)
			_, err := conn.Exec(t.Context(), execution, pgx.QueryExecModeSimpleProtocol)
			execute(t, conn, "DEALLOCATE statement")
			if err != nil {
				got[role] = append(got[role], name)
			}
		}
	}
	for role := range conns {
		slices.Sort(got[role])
		require.Equal(t, notRun[role], got[role], role)
	}
}
