package inspection_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/inspection"
	"mailroom/shared/mail"
	"mailroom/shared/scantest"
)

func TestBuiltInConforms(t *testing.T) {
	t.Parallel()
	s := inspection.NewBuiltIn(inspection.Limits{})
	require.Equal(t, "built-in, development only", s.Note())
	scantest.Run(t, s)
}

// TestBuiltInFindsAcrossReads: the test file may span two reads of a stream.
func TestBuiltInFindsAcrossReads(t *testing.T) {
	t.Parallel()
	s := inspection.NewBuiltIn(inspection.Limits{})
	for _, before := range []int{32<<10 - 1, 32 << 10, 32<<10 + 30, 64<<10 - 40, 64<<10 + 67} {
		content := append(bytes.Repeat([]byte{'.'}, before), scantest.EICAR()...)
		content = append(content, bytes.Repeat([]byte{'.'}, 100)...)
		for _, packed := range [][]byte{content, scantest.Gzip(t, content)} {
			verdict, _, err := s.Scan(t.Context(), bytes.NewReader(packed))
			require.NoError(t, err)
			require.Equal(t, mail.Infected, verdict, before)
		}
	}
}

// TestBuiltInSaysWhatItCannotOpen: content that it cannot open is never clean.
func TestBuiltInSaysWhatItCannotOpen(t *testing.T) {
	t.Parallel()
	s := inspection.NewBuiltIn(inspection.Limits{Depth: 2, Unpacked: 1 << 20})
	zipped := scantest.Zip(t, scantest.File{Name: "a", Content: []byte("a")})
	for name, content := range map[string][]byte{
		"rar":        []byte("Rar!\x1a\x07\x01\x00 and more"),
		"7z":         []byte("7z\xbc\xaf\x27\x1c and more"),
		"7z in zip":  scantest.Zip(t, scantest.File{Name: "x", Content: []byte("7z\xbc\xaf\x27\x1c")}),
		"too deep":   scantest.Gzip(t, scantest.Gzip(t, zipped)),
		"too much":   scantest.Gzip(t, make([]byte, 1<<20+1)),
		"cut short":  zipped[:len(zipped)-10],
		"encrypted":  encrypted(t),
		"no content": []byte("PK\x03\x04"),
	} {
		verdict, signature, err := s.Scan(t.Context(), bytes.NewReader(content))
		require.NoError(t, err, name)
		require.Equal(t, mail.Unscannable, verdict, name)
		require.NotEmpty(t, signature, name)
	}
}

func TestBuiltInStopsWithItsContext(t *testing.T) {
	t.Parallel()
	s := inspection.NewBuiltIn(inspection.Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	verdict, _, err := s.Scan(ctx, bytes.NewReader(scantest.Gzip(t, []byte("hello"))))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, verdict)
}

// encrypted is a zip whose one file is marked as encrypted.
func encrypted(t *testing.T) []byte {
	t.Helper()
	content := scantest.Zip(t, scantest.File{Name: "secret.txt", Content: []byte("no key")})
	local := bytes.Index(content, []byte("PK\x03\x04"))
	central := bytes.Index(content, []byte("PK\x01\x02"))
	content[local+6] |= 1
	content[central+8] |= 1
	return content
}
