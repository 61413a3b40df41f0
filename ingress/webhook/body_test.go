package webhook

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/guard"
	"mailroom/shared/fault"
)

// testIntake is an intake with a sender on this machine, for which the shares of an
// address are no bound.
type testIntake struct {
	*bodyReader

	crowd *guard.Crowd
	local *guard.Visit
}

func openIntake(t testing.TB, spool int64) testIntake {
	t.Helper()
	crowd, err := guard.NewCrowd(guard.NewKnown(), &guard.Proxies{}, shares(spool, 25<<20), nil)
	require.NoError(t, err)
	local, ok := crowd.Enter(netip.MustParseAddr("127.0.0.1"), false)
	require.True(t, ok)
	t.Cleanup(local.Leave)
	return testIntake{newBodyReader(t.TempDir()), crowd, local}
}

// readLocal reads a body as one of the local sender.
func (in testIntake) readLocal(r io.Reader, declared, limit int64, verifier io.Writer) (*body, error) {
	return in.read(in.local, r, declared, limit, verifier)
}

func (in testIntake) held(p guard.Pool) int64 {
	all, _ := in.crowd.Held(p)
	return all
}

func guardAddr(text string) netip.Addr { return netip.MustParseAddr(text) }

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
	in := openIntake(t, math.MaxInt64)
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
				b, err := in.readLocal(r, declared, 4<<20, &fed)
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
	require.Zero(t, in.held(guard.Buffers))
	require.Zero(t, in.held(guard.Files))
}

// TestMemoryIsBounded: with every shared buffer taken a body goes to a file, and
// with every file taken it is refused.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	in := openIntake(t, math.MaxInt64)
	want := bytes.Repeat([]byte("x"), inlineMax+1)
	var held []*body
	for range memoryBuffers {
		b, err := in.readLocal(bytes.NewReader(want), -1, memoryMax, io.Discard)
		require.NoError(t, err)
		require.Nil(t, b.file)
		held = append(held, b)
	}
	for range spoolFiles {
		b, err := in.readLocal(bytes.NewReader(want), -1, memoryMax, io.Discard)
		require.NoError(t, err)
		require.NotNil(t, b.file)
		held = append(held, b)
	}
	_, err := in.readLocal(bytes.NewReader(want), -1, memoryMax, io.Discard)
	require.True(t, fault.Is(err, fault.Overloaded))
	small, err := in.readLocal(strings.NewReader("small"), -1, memoryMax, io.Discard)
	require.NoError(t, err, "small ones still pass")
	require.Equal(t, "small", string(small.inline))
	for _, b := range held {
		require.True(t, bytes.Equal(want, contentOf(t, b)))
		b.Close()
	}
	require.Zero(t, in.held(guard.Buffers))
	require.Zero(t, in.held(guard.Files))
}

// TestSilenceTakesNoPlace: before bytes come, what is declared takes neither buffer
// nor file, so that silent connections keep no sender out.
func TestSilenceTakesNoPlace(t *testing.T) {
	t.Parallel()
	in := openIntake(t, math.MaxInt64)
	for _, declared := range []int64{inlineMax + 1, memoryMax, memoryMax + 1, 4 << 20} {
		looked := false
		_, err := in.readLocal(readerFunc(func([]byte) (int, error) {
			looked = true
			require.Zero(t, in.held(guard.Buffers))
			require.Zero(t, in.held(guard.Files))
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
	in := openIntake(t, math.MaxInt64)
	b, err := in.readLocal(strings.NewReader("12345"), -1, 5, io.Discard)
	require.NoError(t, err)
	b.Close()
	_, err = in.readLocal(strings.NewReader("123456"), -1, 5, io.Discard)
	require.True(t, fault.Is(err, fault.BodyTooLarge))
	_, err = in.readLocal(iotest.ErrReader(errors.New("must not be read")), 6, 5, io.Discard)
	require.True(t, fault.Is(err, fault.BodyTooLarge))
	_, err = in.readLocal(io.MultiReader(strings.NewReader(strings.Repeat("x", 2<<20)), iotest.ErrReader(io.ErrUnexpectedEOF)), -1, 4<<20, io.Discard)
	require.True(t, fault.Is(err, fault.BodyIncomplete))
	require.Zero(t, in.held(guard.Buffers))
	require.Zero(t, in.held(guard.Files))
}

func TestSpoolIsPrivate(t *testing.T) {
	t.Parallel()
	in := openIntake(t, math.MaxInt64)
	b, err := in.readLocal(bytes.NewReader(make([]byte, 2<<20)), -1, 4<<20, io.Discard)
	require.NoError(t, err)
	info, err := b.file.Stat()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoFileExists(t, b.file.Name())
	b.Close()

	in.dir = filepath.Join(in.dir, "missing")
	_, err = in.readLocal(bytes.NewReader(make([]byte, 2<<20)), -1, 4<<20, io.Discard)
	require.True(t, fault.Is(err, fault.StorageUnavailable), "no room is our failure, not the sender's")
	require.NotContains(t, fault.From(err).Public, "missing")
	require.Zero(t, in.held(guard.Files))
}

// TestTornBufferIsNotReused: an upload that was given up may still read it.
func TestTornBufferIsNotReused(t *testing.T) {
	t.Parallel()
	in := openIntake(t, math.MaxInt64)
	b, err := in.readLocal(bytes.NewReader(make([]byte, inlineMax+1)), -1, 4<<20, io.Discard)
	require.NoError(t, err)
	torn := b.buffer
	b.torn = true
	b.Close()
	require.Zero(t, in.held(guard.Buffers))
	require.NotSame(t, torn, in.large.Get().(*[]byte))
}

// TestSpoolIsBounded: all spool files together take what is configured, and give
// it back.
func TestSpoolIsBounded(t *testing.T) {
	t.Parallel()
	in := openIntake(t, 3<<20)
	large := bytes.Repeat([]byte("x"), 2<<20)
	first, err := in.readLocal(bytes.NewReader(large), -1, 25<<20, io.Discard)
	require.NoError(t, err)
	_, err = in.readLocal(bytes.NewReader(large), -1, 25<<20, io.Discard)
	require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
	require.Equal(t, int64(1), in.held(guard.Files), "the refused one holds no file")
	first.Close()
	second, err := in.readLocal(bytes.NewReader(large), -1, 25<<20, io.Discard)
	require.NoError(t, err)
	second.Close()
	require.Zero(t, in.held(guard.Spool))
}
