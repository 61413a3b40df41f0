package process

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestASecondStartWaitsAndNamesTheFirst: the holder's process id is for people.
func TestASecondStartWaitsAndNamesTheFirst(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dir", "lock")
	unlock, err := Lock(t.Context(), path, "another up of this stack", &Console{})
	require.NoError(t, err)

	var out bytes.Buffer
	console := NewConsole(&out)
	console.last = time.Now().Add(-time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		unlock, err := Lock(ctx, path, "another up of this stack", console)
		if err == nil {
			unlock()
		}
		second <- err
	}()
	want := "… waiting for another up of this stack (pid " + strconv.Itoa(os.Getpid()) + ")"
	require.Eventually(t, func() bool {
		console.mu.Lock()
		defer console.mu.Unlock()
		return bytes.Contains(out.Bytes(), []byte(want))
	}, soon, tick)
	unlock()
	require.NoError(t, <-second)

	unlock, err = Lock(t.Context(), path, "another up of this stack", &Console{})
	require.NoError(t, err)
	defer unlock()
	cancel()
	_, err = Lock(ctx, path, "another up of this stack", &Console{})
	require.ErrorIs(t, err, context.Canceled)
}
