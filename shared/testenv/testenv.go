// Package testenv leads tests to the real services that `make test` starts.
//
// Invariants: a test that asks for a service which was not started is skipped,
// so that `go test ./...` alone needs nothing; under `make test`, which sets
// MAILROOM_TEST_REQUIRED, it fails instead. Only tests import this package.
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

// The variables that `go run ./deploy/dev test` sets for the command it runs.
const (
	VarRequired    = "MAILROOM_TEST_REQUIRED"     // "1": a missing service fails the test
	VarDir         = "MAILROOM_TEST_DIR"          // scratch folder; whatever is started below it is stopped at the end
	VarDatabaseURL = "MAILROOM_TEST_DATABASE_URL" // a user that may create databases
	VarS3Endpoint  = "MAILROOM_TEST_S3_ENDPOINT"
	VarS3AccessKey = "MAILROOM_TEST_S3_ACCESS_KEY"
	VarS3SecretKey = "MAILROOM_TEST_S3_SECRET_KEY"
	VarClamd       = "MAILROOM_TEST_CLAMD"
	VarTemporal    = "MAILROOM_TEST_TEMPORAL"
	VarBin         = "MAILROOM_TEST_BIN"
	VarChromium    = "MAILROOM_TEST_CHROMIUM"
	VarAxe         = "MAILROOM_TEST_AXE" // the script of axe-core, which checks pages for accessibility
)

// Store is an object store with the credentials of its owner. Tests share it:
// each makes buckets of its own.
type Store struct {
	Endpoint  string // an http URL
	AccessKey string
	SecretKey string
}

// Postgres gives the URL of an empty database that belongs to this test alone
// and is dropped when it ends.
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

// PostgresServer gives the URL under which databases can be created.
func PostgresServer(t testing.TB) string {
	t.Helper()
	return variable(t, VarDatabaseURL)
}

// S3 gives the shared object store.
func S3(t testing.TB) Store {
	t.Helper()
	return Store{
		Endpoint:  variable(t, VarS3Endpoint),
		AccessKey: variable(t, VarS3AccessKey),
		SecretKey: variable(t, VarS3SecretKey),
	}
}

// Clamd gives host:port of a clamd that knows at least the EICAR test file.
func Clamd(t testing.TB) string {
	t.Helper()
	return variable(t, VarClamd)
}

// Temporal gives host:port of a development server. Its namespace default has
// Mailroom's search attributes.
func Temporal(t testing.TB) string {
	t.Helper()
	return variable(t, VarTemporal)
}

// Bin gives the folder with Mailroom's programs, built from this tree, and temporal.
func Bin(t testing.TB) string {
	t.Helper()
	return variable(t, VarBin)
}

// Chromium gives the path of the browser.
func Chromium(t testing.TB) string {
	t.Helper()
	return variable(t, VarChromium)
}

// Axe gives the path of the script that checks a page for accessibility.
func Axe(t testing.TB) string {
	t.Helper()
	return variable(t, VarAxe)
}

// Dir gives a folder whose started programs are stopped, and whose files are
// removed, when the test run ends, even where the test itself was killed.
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

// Eventually is require.Eventually in the goroutine of its caller. That one asks from
// another, whose failing requests end the whole program when the test is over by then.
func Eventually(t testing.TB, condition func() bool, patience, tick time.Duration, says ...any) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); <-time.After(tick) {
		if time.Now().After(end) {
			require.Fail(t, "not within "+patience.String(), says...)
		}
	}
}

func variable(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	switch {
	case value != "":
	case os.Getenv(VarRequired) == "1":
		t.Fatalf("%s is not set: `make test` must start this service", name)
	default:
		t.Skipf("%s is not set: `make test` starts what this test needs", name)
	}
	return value
}

func random(t testing.TB) string {
	t.Helper()
	b := make([]byte, 8)
	_, err := rand.Read(b)
	require.NoError(t, err)
	return hex.EncodeToString(b)
}

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
