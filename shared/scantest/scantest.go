package scantest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"mailroom/shared/mail"
)

// Scanner is what Run tests.
type Scanner interface {
	Scan(ctx context.Context, r io.Reader) (mail.Verdict, string, error)
	Ready(ctx context.Context) error
	Version(ctx context.Context) (string, error)
	Using(ctx context.Context) (scanner, database string)
}

// EICAR returns the test file that every scanner reports. It is assembled at run time,
// so that no file of the tree is reported.
func EICAR() []byte {
	return []byte(strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}`, `$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`}, ""))
}

// File is one file of an archive.
type File struct {
	Name    string
	Content []byte
}

// Zip returns a zip of files.
func Zip(t testing.TB, files ...File) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, f := range files {
		fw, err := w.Create(f.Name)
		require.NoError(t, err)
		_, err = fw.Write(f.Content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// Tar returns a tar of files.
func Tar(t testing.TB, files ...File) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: f.Name, Mode: 0o600, Size: int64(len(f.Content))}))
		_, err := w.Write(f.Content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// Gzip compresses content.
func Gzip(t testing.TB, content []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// Run tests s.
func Run(t *testing.T, s Scanner) {
	t.Helper()
	eicar := EICAR()
	inZip := Zip(t, File{"readme.txt", []byte("hello")}, File{"eicar.com", eicar})
	padding := bytes.Repeat([]byte("all is well. "), 40_000)
	for _, tc := range []struct {
		name    string
		content []byte
		want    mail.Verdict
	}{
		{"nothing", nil, mail.Clean},
		{"text", []byte("Dear all,\r\nthe minutes of today.\r\n"), mail.Clean},
		{"more than one chunk", padding, mail.Clean},
		{"exactly one chunk", padding[:64<<10], mail.Clean},
		{"clean zip", Zip(t, File{"a.txt", []byte("a")}, File{"b.txt", []byte("b")}), mail.Clean},
		{"eicar", eicar, mail.Infected},
		{"eicar in zip", inZip, mail.Infected},
		{"eicar in zip in zip", Zip(t, File{"inner.zip", inZip}), mail.Infected},
		{"eicar in tar.gz", Gzip(t, Tar(t, File{"eicar.com", eicar})), mail.Infected},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			verdict, signature, err := s.Scan(t.Context(), bytes.NewReader(tc.content))
			require.NoError(t, err)
			require.Equal(t, tc.want, verdict)
			if tc.want == mail.Infected {
				require.Contains(t, strings.ToLower(signature), "eicar")
			} else {
				require.Empty(t, signature)
			}
		})
	}

	runOthers(t, s)
}

// runOthers tests errors, cancellation and concurrency.
func runOthers(t *testing.T, s Scanner) {
	t.Helper()
	eicar := EICAR()
	t.Run("a reader that breaks is not scanned", func(t *testing.T) {
		t.Parallel()
		broken := errors.New("broken")
		verdict, _, err := s.Scan(t.Context(), io.MultiReader(strings.NewReader("begin"), iotest.ErrReader(broken)))
		require.ErrorIs(t, err, broken)
		require.Empty(t, verdict)
	})

	t.Run("side by side", func(t *testing.T) {
		t.Parallel()
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				content, want := []byte("clean"), mail.Clean
				if i%2 == 0 {
					content, want = eicar, mail.Infected
				}
				verdict, _, err := s.Scan(t.Context(), bytes.NewReader(content))
				if err != nil || verdict != want {
					t.Errorf("scan %d: %s, %v", i, verdict, err)
				}
			})
		}
		wg.Wait()
	})

	t.Run("ready", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, s.Ready(t.Context()))
		version, err := s.Version(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, version)
		scanner, _ := s.Using(t.Context())
		require.NotEmpty(t, scanner)
	})
}
