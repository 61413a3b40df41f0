package inspection

import (
	"archive/zip"
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/mail"
)

func TestExamineWaitsForMemory(t *testing.T) {
	t.Parallel()
	e, err := New(Config{})
	require.NoError(t, err)
	var buf bytes.Buffer
	require.NoError(t, zip.NewWriter(&buf).Close())
	archive := mail.Attachment{DeclaredSize: -1, Content: buf.Bytes()}

	const all = 128 << 20
	require.True(t, e.memory.TryAcquire(all-1<<20), "nothing is in use")
	_, _, _, err = e.Begin()(t.Context(), mail.Attachment{DeclaredSize: -1, Content: []byte("text")})
	require.NoError(t, err, "there is enough for a text")

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, _, _, err := e.Begin()(ctx, archive)
		done <- err
	}()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)

	e.memory.Release(all - 1<<20)
	_, _, _, err = e.Begin()(t.Context(), archive)
	require.NoError(t, err)
	require.True(t, e.memory.TryAcquire(all), "all is given back")
}
