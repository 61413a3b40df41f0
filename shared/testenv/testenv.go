// Package testenv returns the addresses of the real services that `make test` starts:
// PostgreSQL, the object store, clamd, Temporal and the browser.
//
// Invariants: a test that asks for a service that was not started is skipped, so that
// `go test ./...` alone needs no services; under `make test`, which sets
// MAILROOM_TEST_REQUIRED, it fails instead. Only tests import this package.
//
// The services are started by deploy/dev; a test that needs a migrated database uses
// shared/pgtest.
package testenv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// The variables that `go run ./deploy/dev test` sets for the command that it runs.
const (
	VarRequired    = "MAILROOM_TEST_REQUIRED"     // "1": a missing service fails the test
	VarDir         = "MAILROOM_TEST_DIR"          // scratch folder; programs started below it are stopped at the end
	VarDatabaseURL = "MAILROOM_TEST_DATABASE_URL" // of a user that may create databases
	VarS3Endpoint  = "MAILROOM_TEST_S3_ENDPOINT"  // an http URL
	VarS3AccessKey = "MAILROOM_TEST_S3_ACCESS_KEY"
	VarS3SecretKey = "MAILROOM_TEST_S3_SECRET_KEY"
	VarVersity     = "MAILROOM_TEST_VERSITYGW" // a second object store, with the same credentials
	VarClamd       = "MAILROOM_TEST_CLAMD"     // host:port
	VarTemporal    = "MAILROOM_TEST_TEMPORAL"  // host:port
	VarBin         = "MAILROOM_TEST_BIN"       // folder of Mailroom's programs
	VarChromium    = "MAILROOM_TEST_CHROMIUM"  // path of the browser
	VarAxe         = "MAILROOM_TEST_AXE"       // path of axe-core, which checks pages for accessibility
)

// Store is an object store and the credentials of its owner. Tests share it; each creates
// buckets of its own.
type Store struct {
	Endpoint  string // an http URL
	AccessKey string
	SecretKey string
}

// Postgres creates an empty database for this test and returns its URL. The database is
// dropped when the test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	server := variable(t, VarDatabaseURL)
	name := "t_" + random(t)
	execute(t, server, "create database "+name+" template template0")
	t.Cleanup(func() { execute(t, server, "drop database if exists "+name+" with (force)") })

	u, err := url.Parse(server)
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

// PostgresServer returns the URL of the server, for a user that may create databases.
func PostgresServer(t testing.TB) string {
	t.Helper()
	return variable(t, VarDatabaseURL)
}

// S3 returns the shared object store.
func S3(t testing.TB) Store {
	t.Helper()
	return Store{
		Endpoint:  variable(t, VarS3Endpoint),
		AccessKey: variable(t, VarS3AccessKey),
		SecretKey: variable(t, VarS3SecretKey),
	}
}

// Stores returns every kind of object store that Mailroom works with, by name.
func Stores(t testing.TB) map[string]Store {
	t.Helper()
	first := S3(t)
	second := first
	second.Endpoint = variable(t, VarVersity)
	return map[string]Store{"MinIO": first, "versitygw": second}
}

// Clamd returns host:port of a clamd that detects at least the EICAR test file.
func Clamd(t testing.TB) string {
	t.Helper()
	return variable(t, VarClamd)
}

// Temporal returns host:port of a development server whose namespace default has
// Mailroom's search attributes.
func Temporal(t testing.TB) string {
	t.Helper()
	return variable(t, VarTemporal)
}

// Bin returns the folder with Mailroom's programs, built from this tree, and temporal.
func Bin(t testing.TB) string {
	t.Helper()
	return variable(t, VarBin)
}

// Chromium returns the path of the browser.
func Chromium(t testing.TB) string {
	t.Helper()
	return variable(t, VarChromium)
}

// Axe returns the path of axe-core, the script that checks a page for accessibility.
func Axe(t testing.TB) string {
	t.Helper()
	return variable(t, VarAxe)
}

// Dir creates a folder and returns its path. When the test run ends, the programs started
// in it are stopped and its files are removed, even if the test itself was killed.
func Dir(t testing.TB) string {
	t.Helper()
	parent := os.Getenv(VarDir)
	if parent == "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "e")
	require.NoError(t, err)
	return dir
}

// Eventually is require.Eventually in the goroutine of the caller: it calls condition every
// tick, and fails the test with says if it has not returned true within patience.
// require.Eventually calls it in another goroutine, and a failure there after the end of the
// test ends the whole test program.
func Eventually(t testing.TB, condition func() bool, patience, tick time.Duration, says ...any) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); <-time.After(tick) {
		if time.Now().After(end) {
			require.Fail(t, "not within "+patience.String(), says...)
		}
	}
}

// variable returns the value of an environment variable. If it is not set, the test is
// skipped, or fails under `make test`.
func variable(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	switch {
	case value != "":
	case os.Getenv(VarRequired) == "1":
		t.Fatalf("%s is not set, although `make test` must start this service", name)
	default:
		t.Skipf("%s is not set: run this test with `make test`, which starts the service", name)
	}
	return value
}

// random returns 16 random hexadecimal digits.
func random(t testing.TB) string {
	t.Helper()
	b := make([]byte, 8)
	_, err := rand.Read(b)
	require.NoError(t, err)
	return hex.EncodeToString(b)
}

// execute runs one statement on the server within a minute.
func execute(t testing.TB, server, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	require.NoError(t, err)
}
