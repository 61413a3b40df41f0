package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"mailroom/shared/ledger"
)

// unavailable are the SQLSTATE prefixes of what time or an operator cures while
// the request stays as it is (PostgreSQL, Appendix A).
const unavailable = "08 53 57 58 28 3D " + // connection, resources, shutdown and cancel, system, login, no such database
	"25006 " + // read-only: a failover is under way
	"40001 40P01 55P03" // serialisation, deadlock, lock not available

// queryCanceled is what PostgreSQL says of a statement that it stopped.
const queryCanceled = "57014"

// Stopped reports whether err comes from a statement that the server stopped, as it
// does after Config.StatementTimeout, or because a person cancelled it there.
func Stopped(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == queryCanceled
}

// classify wraps err with what was being done and turns what the driver says of
// an absent or overloaded server into storage_unavailable. An error of the
// caller's own cancellation stays what it is. classify(_, nil) is nil.
func classify(doing string, err error) error {
	if err == nil {
		return nil
	}
	if isUnavailable(err) {
		err = ledger.DatabaseUnavailable(err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// isUnavailable reports whether time or an operator may cure err.
func isUnavailable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		for code := range strings.FieldsSeq(unavailable) {
			if strings.HasPrefix(pg.Code, code) {
				return true
			}
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.Timeout(err) ||
		pgconn.SafeToRetry(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, puddle.ErrClosedPool) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// clean returns s as PostgreSQL can store it: NUL is dropped, what is not UTF-8
// becomes U+FFFD. The common case copies nothing.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// cleanAll is clean for a list; the result is never nil.
func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s)
	}
	return out
}
