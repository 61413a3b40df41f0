package worker

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
)

// Nothing but a word in the configuration makes a worker do without clamd.
func TestTheBuiltInScannerIsNotChosenSilently(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	_, err := newScanner("", config.Scanner{}, logger)
	require.ErrorContains(t, err, "CLAMD_ADDRESS is not set")
	require.ErrorContains(t, err, "scanner: builtin")

	s, err := newScanner("", config.Scanner{BuiltIn: true}, logger)
	require.NoError(t, err)
	require.Equal(t, "built-in, development only", s.Note())
	using, _ := s.Using(t.Context())
	require.Equal(t, "built-in (development only)", using, "each verdict says so")
	require.Contains(t, log.String(), "scanner.development")

	s, err = newScanner("127.0.0.1:3310", config.Scanner{BuiltIn: true, MaxSignatureAge: config.SignatureAge(time.Hour)}, logger)
	require.NoError(t, err)
	require.Empty(t, s.Note())
	require.Contains(t, log.String(), "scanner.clamd")
	s, err = newScanner("127.0.0.1:3310", config.Scanner{MaxSignatureAge: config.SignatureAgeOff}, logger)
	require.NoError(t, err)
	require.Contains(t, s.Note(), "signature age not checked")
}
