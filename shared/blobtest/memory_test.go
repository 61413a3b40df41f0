package blobtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/blob"
	"mailroom/shared/blobtest"
	"mailroom/shared/fault"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(*testing.T) blobtest.Store { return blobtest.NewMemory() })
}

func TestMemoryDown(t *testing.T) {
	t.Parallel()
	m := blobtest.NewMemory()
	require.NoError(t, m.PutBytes(t.Context(), blob.Raw, "k", []byte("x"), ""))
	m.SetDown(true)
	_, err := m.Get(t.Context(), blob.Raw, "k")
	require.True(t, fault.Is(err, fault.StorageUnavailable))
	m.SetDown(false)
	require.Equal(t, []string{"k"}, m.Keys(blob.Raw))
	m.Remove(blob.Raw, "k")
	_, err = m.Get(t.Context(), blob.Raw, "k")
	require.True(t, fault.Is(err, fault.ContentLost))
}
