package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/blob"
	"mailroom/shared/fault"
)

// Store is the part of blob.Store that programs use; see there what each method does.
type Store interface {
	Put(ctx context.Context, b blob.Bucket, key string, r io.Reader, size int64, contentType string) error
	PutBytes(ctx context.Context, b blob.Bucket, key string, content []byte, contentType string) error
	Get(ctx context.Context, b blob.Bucket, key string) (io.ReadCloser, error)
	ReadAll(ctx context.Context, b blob.Bucket, key string, limit int64, sha256hex string) ([]byte, error)
	Exists(ctx context.Context, b blob.Bucket, key string) (bool, error)
	Presign(ctx context.Context, b blob.Bucket, key, filename string, expiry time.Duration) (string, error)
}

// sizes are on both sides of each size that the real store treats differently.
var sizes = map[string]int{ //nolint:gochecknoglobals // a table
	"nothing": 0, "a byte": 1, "30 kB": 30_000, "above the cache": 256<<10 + 1, "above a small put": 1<<20 + 1,
	"a part and a byte": 16<<20 + 1,
}

// Run tests the store that open returns. Every subtest uses keys of its own.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for name, size := range sizes {
		t.Run("writes and reads "+name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			for how, put := range map[string]func(key string, content []byte) error{
				"bytes": func(key string, content []byte) error {
					return s.PutBytes(t.Context(), blob.Raw, key, content, "text/plain")
				},
				"reader at": func(key string, content []byte) error {
					r := bytes.NewReader(content)
					_, _ = r.Seek(int64(len(content)), io.SeekStart)
					return s.Put(t.Context(), blob.Raw, key, r, int64(len(content)), "text/plain")
				},
				"plain reader": func(key string, content []byte) error {
					r := iotest.OneByteReader(bytes.NewReader(content[:min(len(content), 9)]))
					rest := bytes.NewReader(content[min(len(content), 9):])
					return s.Put(t.Context(), blob.Raw, key, io.MultiReader(r, rest), int64(len(content)), "")
				},
			} {
				content, key := random(t, size), newKey(t)
				require.NoError(t, put(key, content), how)
				read(t, s, key, content)
			}
		})
	}

	t.Run("missing objects", func(t *testing.T) { t.Parallel(); testAbsent(t, open(t)) })
	t.Run("checks size and hash", func(t *testing.T) { t.Parallel(); testChecks(t, open(t)) })
	t.Run("keeps its own copy", func(t *testing.T) { t.Parallel(); testCopies(t, open(t)) })
	t.Run("keeps the buckets apart", func(t *testing.T) { t.Parallel(); testBuckets(t, open(t)) })
	t.Run("takes any declared type", func(t *testing.T) { t.Parallel(); testTypes(t, open(t)) })
	t.Run("leaves the reader open", func(t *testing.T) { t.Parallel(); testOpenReader(t, open(t)) })
	t.Run("presigns", func(t *testing.T) { t.Parallel(); testPresign(t, open(t)) })
	t.Run("serves many at once", func(t *testing.T) { t.Parallel(); testParallel(t, open(t)) })
	t.Run("ends with its context", func(t *testing.T) { t.Parallel(); testCancelled(t, open(t)) })
}

func read(t *testing.T, s Store, key string, content []byte) {
	t.Helper()
	for range 2 { // the second time perhaps from a cache
		got, err := s.ReadAll(t.Context(), blob.Raw, key, int64(len(content)), hashOf(content))
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
	}
	r, err := s.Get(t.Context(), blob.Raw, key)
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.True(t, bytes.Equal(content, got))
	exists, err := s.Exists(t.Context(), blob.Raw, key)
	require.NoError(t, err)
	require.True(t, exists)
}

func testAbsent(t *testing.T, s Store) {
	key := newKey(t)
	exists, err := s.Exists(t.Context(), blob.Raw, key)
	require.NoError(t, err)
	require.False(t, exists)
	_, err = s.ReadAll(t.Context(), blob.Raw, key, 10, "")
	require.True(t, fault.Is(err, fault.ContentLost), "%v", err)
	require.False(t, fault.From(err).Temporary)
	_, err = s.Get(t.Context(), blob.Raw, key)
	require.True(t, fault.Is(err, fault.ContentLost), "%v", err)
	require.Error(t, s.PutBytes(t.Context(), "cellar", key, nil, ""))
	require.Error(t, s.Put(t.Context(), blob.Raw, key, strings.NewReader("x"), -1, ""))
	require.Error(t, s.Put(t.Context(), blob.Raw, key, strings.NewReader("x"), 2, ""), "less than announced")
	exists, err = s.Exists(t.Context(), blob.Raw, key)
	require.NoError(t, err)
	require.False(t, exists, "a refused object is not there")
}

func testChecks(t *testing.T, s Store) {
	for _, size := range []int{1000, 300_000} { // within the cache and above it
		content, key := random(t, size), newKey(t)
		require.NoError(t, s.PutBytes(t.Context(), blob.Raw, key, content, ""))
		_, err := s.ReadAll(t.Context(), blob.Raw, key, int64(size)-1, "")
		require.True(t, fault.Is(err, fault.BodyTooLarge), "%v", err)
		_, err = s.ReadAll(t.Context(), blob.Raw, key, int64(size), hashOf(content[1:]))
		require.True(t, fault.Is(err, fault.ContentLost), "%v", err)
		got, err := s.ReadAll(t.Context(), blob.Raw, key, int64(size), "")
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
	}
}

func testCopies(t *testing.T, s Store) {
	content, key := []byte("immutable"), newKey(t)
	require.NoError(t, s.PutBytes(t.Context(), blob.Raw, key, content, ""))
	content[0] = 'X'
	got, err := s.ReadAll(t.Context(), blob.Raw, key, 100, "")
	require.NoError(t, err)
	require.Equal(t, "immutable", string(got))
	got[0] = 'X'
	got, err = s.ReadAll(t.Context(), blob.Raw, key, 100, "")
	require.NoError(t, err)
	require.Equal(t, "immutable", string(got))
}

func testBuckets(t *testing.T, s Store) {
	key := newKey(t)
	require.NoError(t, s.PutBytes(t.Context(), blob.Raw, key, []byte("raw"), ""))
	exists, err := s.Exists(t.Context(), blob.Attachments, key)
	require.NoError(t, err)
	require.False(t, exists)
	require.NoError(t, s.PutBytes(t.Context(), blob.Attachments, key, []byte("attached"), ""))
	got, err := s.ReadAll(t.Context(), blob.Raw, key, 100, "")
	require.NoError(t, err)
	require.Equal(t, "raw", string(got))
}

func testTypes(t *testing.T, s Store) {
	for _, declared := range []string{
		"", "text/html; charset=utf-8", "text/html\r\nX-Evil: 1", "häuser/ü", "\x00", strings.Repeat("x", 5000), "a/b; =\"",
	} {
		require.NoError(t, s.PutBytes(t.Context(), blob.Raw, newKey(t), []byte("x"), declared), "%q", declared)
	}
}

// closer records that it was closed.
type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

func testOpenReader(t *testing.T, s Store) {
	for _, size := range []int{10, 2 << 20} {
		c := &closer{Reader: bytes.NewReader(random(t, size))}
		require.NoError(t, s.Put(t.Context(), blob.Raw, newKey(t), c, int64(size), ""))
		require.False(t, c.closed)
	}
}

func testPresign(t *testing.T, s Store) {
	key := newKey(t)
	for _, filename := range []string{"report.pdf", "", `a"b\c.pdf`, "Übersicht 2026.pdf", "x\r\ny"} {
		link, err := s.Presign(t.Context(), blob.Attachments, key, filename, time.Minute)
		require.NoError(t, err)
		u, err := url.Parse(link)
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(u.Path, key))
		require.True(t, strings.HasPrefix(u.Query().Get("response-content-disposition"), "attachment"))
	}
}

func testParallel(t *testing.T, s Store) {
	const parallel = 16
	content, key := random(t, 5000), newKey(t)
	errs := make([]error, parallel)
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() {
			if errs[i] = s.PutBytes(t.Context(), blob.Raw, key, content, ""); errs[i] == nil {
				_, errs[i] = s.ReadAll(t.Context(), blob.Raw, key, 5000, hashOf(content))
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func testCancelled(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.PutBytes(ctx, blob.Raw, newKey(t), []byte("x"), "")
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, fault.Is(err, fault.StorageUnavailable), "a cancelled call says nothing about the store")
}

func newKey(t *testing.T) string {
	t.Helper()
	return "blobtest/" + hex.EncodeToString(random(t, 16))
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := rand.Read(b)
	require.NoError(t, err)
	return b
}

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
