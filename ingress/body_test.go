package ingress

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

func contentOf(t *testing.T, b *body) []byte {
	t.Helper()
	content, err := io.ReadAll(b.open())
	require.NoError(t, err)
	return content
}

// TestBodyIsWhatWasSent at every border, in large and in tiny pieces, whatever the
// header declares.
func TestBodyIsWhatWasSent(t *testing.T) {
	t.Parallel()
	in := newIntake(t.TempDir(), math.MaxInt64)
	for _, size := range []int{0, 1, chunkSize, chunkSize + 1, inlineMax - 1, inlineMax, inlineMax + 1, memoryMax, memoryMax + 1, 3 << 20} {
		want := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		for name, r := range map[string]io.Reader{
			"at once": bytes.NewReader(want),
			"halves":  iotest.HalfReader(bytes.NewReader(want)),
			"eof":     iotest.DataErrReader(bytes.NewReader(want)),
		} {
			for _, declared := range []int64{-1, int64(size)} {
				var fed bytes.Buffer
				if s, ok := r.(io.Seeker); ok {
					_, err := s.Seek(0, io.SeekStart)
					require.NoError(t, err)
				} else if declared >= 0 {
					continue // it is read already
				}
				b, err := in.read(r, declared, 4<<20, &fed)
				require.NoError(t, err, "%d %s", size, name)
				require.Equal(t, int64(size), b.size)
				require.Equal(t, sha256.Sum256(want), b.sum)
				require.True(t, bytes.Equal(want, fed.Bytes()), "the verifier saw every byte")
				require.True(t, bytes.Equal(want, contentOf(t, b)))
				require.True(t, bytes.Equal(want, contentOf(t, b)), "again")
				require.Equal(t, size <= inlineMax, b.small())
				require.Equal(t, size > memoryMax, b.file != nil)
				b.Close()
				b.Close()
			}
		}
	}
	require.Empty(t, in.memory)
	require.Empty(t, in.files)
}

// TestMemoryIsBounded: with every shared buffer taken a body goes to a file, and
// with every file taken it is refused.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	in := newIntake(t.TempDir(), math.MaxInt64)
	want := bytes.Repeat([]byte("x"), inlineMax+1)
	var held []*body
	for range memoryBuffers {
		b, err := in.read(bytes.NewReader(want), -1, memoryMax, io.Discard)
		require.NoError(t, err)
		require.Nil(t, b.file)
		held = append(held, b)
	}
	for range spoolFiles {
		b, err := in.read(bytes.NewReader(want), -1, memoryMax, io.Discard)
		require.NoError(t, err)
		require.NotNil(t, b.file)
		held = append(held, b)
	}
	_, err := in.read(bytes.NewReader(want), -1, memoryMax, io.Discard)
	require.True(t, fault.Is(err, fault.Overloaded))
	small, err := in.read(strings.NewReader("small"), -1, memoryMax, io.Discard)
	require.NoError(t, err, "small ones still pass")
	require.Equal(t, "small", string(small.inline))
	for _, b := range held {
		require.True(t, bytes.Equal(want, contentOf(t, b)))
		b.Close()
	}
	require.Empty(t, in.memory)
	require.Empty(t, in.files)
}

// TestSilenceTakesNoPlace: before bytes come, what is declared takes neither buffer
// nor file, so that silent connections keep nobody out.
func TestSilenceTakesNoPlace(t *testing.T) {
	t.Parallel()
	in := newIntake(t.TempDir(), math.MaxInt64)
	for _, declared := range []int64{inlineMax + 1, memoryMax, memoryMax + 1, 4 << 20} {
		looked := false
		_, err := in.read(readerFunc(func([]byte) (int, error) {
			looked = true
			require.Empty(t, in.memory)
			require.Empty(t, in.files)
			return 0, io.ErrUnexpectedEOF
		}), declared, 4<<20, io.Discard)
		require.True(t, fault.Is(err, fault.BodyIncomplete))
		require.True(t, looked)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	in := newIntake(t.TempDir(), math.MaxInt64)
	b, err := in.read(strings.NewReader("12345"), -1, 5, io.Discard)
	require.NoError(t, err)
	b.Close()
	_, err = in.read(strings.NewReader("123456"), -1, 5, io.Discard)
	require.True(t, fault.Is(err, fault.BodyTooLarge))
	_, err = in.read(iotest.ErrReader(errors.New("must not be read")), 6, 5, io.Discard)
	require.True(t, fault.Is(err, fault.BodyTooLarge))
	_, err = in.read(io.MultiReader(strings.NewReader(strings.Repeat("x", 2<<20)), iotest.ErrReader(io.ErrUnexpectedEOF)), -1, 4<<20, io.Discard)
	require.True(t, fault.Is(err, fault.BodyIncomplete))
	require.Empty(t, in.memory)
	require.Empty(t, in.files)
}

func TestSpoolIsPrivate(t *testing.T) {
	t.Parallel()
	in := newIntake(t.TempDir(), math.MaxInt64)
	b, err := in.read(bytes.NewReader(make([]byte, 2<<20)), -1, 4<<20, io.Discard)
	require.NoError(t, err)
	info, err := b.file.Stat()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoFileExists(t, b.file.Name())
	b.Close()

	in.dir = filepath.Join(in.dir, "missing")
	_, err = in.read(bytes.NewReader(make([]byte, 2<<20)), -1, 4<<20, io.Discard)
	require.True(t, fault.Is(err, fault.StorageUnavailable), "no room is our failure, not the sender's")
	require.NotContains(t, fault.From(err).Public, "missing")
	require.Empty(t, in.files)
}

// TestTornBufferIsNotReused: an upload that was given up may still read it.
func TestTornBufferIsNotReused(t *testing.T) {
	t.Parallel()
	in := newIntake(t.TempDir(), math.MaxInt64)
	b, err := in.read(bytes.NewReader(make([]byte, inlineMax+1)), -1, 4<<20, io.Discard)
	require.NoError(t, err)
	torn := b.buffer
	b.torn = true
	b.Close()
	require.Empty(t, in.memory)
	require.NotSame(t, torn, in.large.Get().(*[]byte))
}

// TestSpoolIsBounded: all spool files together take what is configured, and give
// it back.
func TestSpoolIsBounded(t *testing.T) {
	t.Parallel()
	in := newIntake(t.TempDir(), 3<<20)
	large := bytes.Repeat([]byte("x"), 2<<20)
	first, err := in.read(bytes.NewReader(large), -1, 25<<20, io.Discard)
	require.NoError(t, err)
	_, err = in.read(bytes.NewReader(large), -1, 25<<20, io.Discard)
	require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
	require.Len(t, in.files, 1, "the refused one holds no file")
	first.Close()
	second, err := in.read(bytes.NewReader(large), -1, 25<<20, io.Discard)
	require.NoError(t, err)
	second.Close()
	require.Equal(t, int64(3<<20), in.room.Load())
}
