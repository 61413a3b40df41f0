package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err         error
		unavailable bool
	}{
		"connection failure":   {&pgconn.PgError{Code: "08006"}, true},
		"too many connections": {&pgconn.PgError{Code: "53300"}, true},
		"disk full":            {&pgconn.PgError{Code: "53100"}, true},
		"admin shutdown":       {&pgconn.PgError{Code: "57P01"}, true},
		"starting up":          {&pgconn.PgError{Code: "57P03"}, true},
		"query cancelled":      {&pgconn.PgError{Code: "57014"}, true},
		"standby":              {&pgconn.PgError{Code: "25006"}, true},
		"serialization":        {&pgconn.PgError{Code: "40001"}, true},
		"deadlock":             {&pgconn.PgError{Code: "40P01"}, true},
		"login":                {&pgconn.PgError{Code: "28P01"}, true},
		"unique":               {&pgconn.PgError{Code: "23505"}, false},
		"check":                {&pgconn.PgError{Code: "23514"}, false},
		"no such table":        {&pgconn.PgError{Code: "42P01"}, false},
		"in transaction":       {&pgconn.PgError{Code: "25P02"}, false},
		"network":              {&net.OpError{Op: "read", Err: errors.New("reset")}, true},
		"end of stream":        {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		"deadline":             {context.DeadlineExceeded, true},
		"caller gave up":       {fmt.Errorf("timeout: %w", context.Canceled), false},
		"something else":       {errors.New("connection refused"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := classify("do it", tc.err)
			require.ErrorIs(t, err, tc.err)
			require.ErrorContains(t, err, "do it: ")
			require.Equal(t, tc.unavailable, fault.Is(err, fault.StorageUnavailable))
		})
	}
	require.NoError(t, classify("do it", nil))
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "häuser": "häuser", "a\x00b": "ab", "\x00": "", "a\xffb\x00": "a\uFFFDb", "\xed\xa0\x80x": "\uFFFDx",
	} {
		require.Equal(t, want, clean(in), "%q", in)
	}
	require.Equal(t, []string{}, cleanAll(nil))
}
