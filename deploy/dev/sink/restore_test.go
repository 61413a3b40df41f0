package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKeysOutliveAKill: a sink that was killed, in the middle of a line too, answers known
// keys as repeats.
func TestKeysOutliveAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "received.jsonl")
	open := func() *os.File {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
		require.NoError(t, err)
		t.Cleanup(func() { _ = file.Close() })
		return file
	}

	first := New(Config{Keys: 10, File: open()})
	for _, key := range []string{"k1", "k2", "k2"} {
		first.ledger.record(Arrival{Path: "/tickets", Key: key, Status: 200, Effect: true}, nil)
	}
	torn := open()
	_, err := torn.WriteString(`{"path":"/tickets","key":"k3","eff`)
	require.NoError(t, err)

	second := New(Config{Keys: 10, File: open()})
	require.NoError(t, second.ledger.restore(second.ledger.config.File))
	require.Equal(t, first.ledger.report("", "", "", 10), second.ledger.report("", "", "", 10))
	require.True(t, second.ledger.record(Arrival{Path: "/tickets", Key: "k1", Status: 200, Effect: true}, nil))
	require.False(t, second.ledger.record(Arrival{Path: "/tickets", Key: "k3", Status: 200, Effect: true}, nil))

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, strings.Split(strings.TrimSpace(string(text)), "\n"), 6, "the torn line has an end")
}
