package webhook

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/guard"
	"mailroom/shared/fault"
)

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func deflated(t testing.TB, text string, dictionary []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zlib.NewWriterLevelDict(&b, zlib.BestSpeed, dictionary)
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func decodeAll(r io.Reader, coding string) (string, error) {
	d, err := decoded(r, coding)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(d)
	return string(text), errors.Join(err, d.Close())
}

func damaged(b []byte, at int) []byte {
	b = bytes.Clone(b)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0x55
	return b
}

func TestContentCoding(t *testing.T) {
	t.Parallel()
	both := []string{codingGzip, codingDeflate}
	for name, c := range map[string]struct {
		lines   []string
		allowed []string
		want    string
		refused bool
	}{
		"none":                    {},
		"identity":                {lines: []string{"Identity"}},
		"gzip":                    {lines: []string{"gzip"}, allowed: both, want: codingGzip},
		"x-gzip in other letters": {lines: []string{" X-GZIP "}, allowed: both, want: codingGzip},
		"deflate and identity":    {lines: []string{"identity, deflate"}, allowed: both, want: codingDeflate},
		"not allowed here":        {lines: []string{"gzip"}, refused: true},
		"only the other":          {lines: []string{"gzip"}, allowed: []string{codingDeflate}, refused: true},
		"twice":                   {lines: []string{"gzip, gzip"}, allowed: both, refused: true},
		"twice in two lines":      {lines: []string{"gzip", "deflate"}, allowed: both, refused: true},
		"unknown":                 {lines: []string{"br"}, allowed: both, refused: true},
		"unknown under a known":   {lines: []string{"br, gzip"}, allowed: both, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := contentCoding(http.Header{"Content-Encoding": c.lines}, c.allowed)
			require.Equal(t, c.refused, fault.Is(err, fault.EncodingRefused), "%v", err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestDecoded(t *testing.T) {
	t.Parallel()
	text := strings.Repeat(`{"event_id":"evt_1"}`, 5000)
	zipped, inflated := gzipped(t, text), deflated(t, text, nil)
	for name, c := range map[string]struct {
		coding string
		body   []byte
		want   string
	}{
		"gzip":          {codingGzip, zipped, text},
		"two members":   {codingGzip, append(bytes.Clone(zipped), zipped...), text + text},
		"deflate":       {codingDeflate, inflated, text},
		"empty gzip":    {codingGzip, gzipped(t, ""), ""},
		"empty deflate": {codingDeflate, deflated(t, "", nil), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeAll(bytes.NewReader(c.body), c.coding)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			got, err = decodeAll(iotest.OneByteReader(bytes.NewReader(c.body)), c.coding)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestDecodedRefuses(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("mail ", 5000)
	zipped, inflated := gzipped(t, text), deflated(t, text, nil)
	var raw bytes.Buffer
	w, err := flate.NewWriter(&raw, flate.BestSpeed)
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for name, c := range map[string]struct {
		coding string
		body   []byte
	}{
		"nothing as gzip":            {codingGzip, nil},
		"nothing as deflate":         {codingDeflate, nil},
		"plain text as gzip":         {codingGzip, []byte(text)},
		"plain text as deflate":      {codingDeflate, []byte(text)},
		"gzip without its end":       {codingGzip, zipped[:len(zipped)-1]},
		"gzip without its sums":      {codingGzip, zipped[:len(zipped)-8]},
		"half a gzip":                {codingGzip, zipped[:len(zipped)/2]},
		"half a gzip header":         {codingGzip, zipped[:5]},
		"gzip with another checksum": {codingGzip, damaged(zipped, -5)},
		"gzip with another length":   {codingGzip, damaged(zipped, -1)},
		"gzip and a byte":            {codingGzip, append(bytes.Clone(zipped), 'x')},
		"gzip and zeros":             {codingGzip, append(bytes.Clone(zipped), 0, 0, 0, 0)},
		"half a second member":       {codingGzip, append(bytes.Clone(zipped), zipped[:20]...)},
		"half a deflate":             {codingDeflate, inflated[:len(inflated)/2]},
		"deflate without its sum":    {codingDeflate, inflated[:len(inflated)-4]},
		"deflate, another checksum":  {codingDeflate, damaged(inflated, -1)},
		"deflate and a byte":         {codingDeflate, append(bytes.Clone(inflated), 'x')},
		"deflate twice":              {codingDeflate, append(bytes.Clone(inflated), inflated...)},
		"deflate with a dictionary":  {codingDeflate, deflated(t, text, []byte("mail "))},
		"deflate without zlib":       {codingDeflate, raw.Bytes()},
		"identity":                   {"identity", []byte(text)},
		"stacked":                    {"gzip, gzip", gzipped(t, string(zipped))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := decodeAll(bytes.NewReader(c.body), c.coding)
			require.True(t, fault.Is(err, fault.EncodingRefused), "%v", err)
			require.False(t, fault.From(err).Temporary, "a resend of the same bytes cannot help")
			require.NotContains(t, fault.From(err).Public, "mail ")
		})
	}
}

// TestDecodedPassesFailuresOn: a disk that fails is not the sender's fault.
func TestDecodedPassesFailuresOn(t *testing.T) {
	t.Parallel()
	outage := fault.New(fault.StorageUnavailable, "away")
	for coding, body := range map[string][]byte{
		codingGzip: gzipped(t, "mail"), codingDeflate: deflated(t, "mail", nil),
	} {
		for n := range len(body) + 1 {
			_, err := decodeAll(io.MultiReader(bytes.NewReader(body[:n]), iotest.ErrReader(outage)), coding)
			require.ErrorIs(t, err, outage, "%s after %d bytes", coding, n)
		}
	}
}

// repeated returns block again and again, times times.
type repeated struct {
	block []byte
	times int
	at    int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.times == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.block[r.at:])
	if r.at += n; r.at == len(r.block) {
		r.at = 0
		r.times--
	}
	return n, nil
}

// bomb is one stream that decodes to 10 GiB of zeros: a megabyte of them ends on a
// byte, so that it can follow itself.
func bomb(t *testing.T, header []byte) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 1<<20))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	return io.MultiReader(bytes.NewReader(header), &repeated{block: b.Bytes(), times: 10 << 10})
}

// TestDecodedBomb is not parallel: it looks at what the process allocates.
func TestDecodedBomb(t *testing.T) { //nolint:paralleltest // see above
	const limit = 25 << 20
	for coding, header := range map[string][]byte{
		codingGzip:    {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255},
		codingDeflate: {0x78, 0x9c},
	} {
		in := openIntake(t, 1<<30)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		encoded := &counted64{r: bomb(t, header)}
		d, err := decoded(encoded, coding)
		require.NoError(t, err)
		_, err = in.readLocal(d, -1, limit, sha256.New())
		runtime.ReadMemStats(&after)
		require.True(t, fault.Is(err, fault.BodyTooLarge), "%s: %v", coding, err)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "%s", coding)
		require.Less(t, encoded.n, int64(64<<10), "%s: no more is read than the limit takes", coding)
		require.NoError(t, d.Close())
		require.Zero(t, in.held(guard.Files))
		require.Zero(t, in.held(guard.Buffers))
	}
}

type counted64 struct {
	r io.Reader
	n int64
}

func (c *counted64) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// FuzzDecoded: what decodes is what a decoder that reads everything finds, and all
// else is one fault.
func FuzzDecoded(f *testing.F) {
	zipped := gzipped(f, "mail")
	f.Add(zipped, true)
	f.Add(append(bytes.Clone(zipped), zipped...), true)
	f.Add(append(bytes.Clone(zipped), 'x'), true)
	f.Add(deflated(f, "mail", nil), false)
	f.Add([]byte{0x78, 0xbb}, false)
	f.Fuzz(func(t *testing.T, body []byte, zip bool) {
		coding := codingDeflate
		if zip {
			coding = codingGzip
		}
		d, err := decoded(bytes.NewReader(body), coding)
		if err != nil {
			require.True(t, fault.Is(err, fault.EncodingRefused))
			return
		}
		defer d.Close()
		text, err := io.ReadAll(io.LimitReader(d, 1<<20))
		if err != nil {
			require.True(t, fault.Is(err, fault.EncodingRefused))
			_, again := d.Read(make([]byte, 1))
			require.ErrorIs(t, again, err, "a failure stays")
			return
		}
		if len(text) == 1<<20 {
			return
		}
		if zip {
			text = gzipped(t, string(text))
		} else {
			text = deflated(t, string(text), nil)
		}
		_, err = decodeAll(bytes.NewReader(text), coding)
		require.NoError(t, err)
	})
}
