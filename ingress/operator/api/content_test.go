package api

import (
	"crypto/sha256"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

func TestDownloads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, want := range map[string]struct{ filename, content string }{
		emailURL + "/raw":                                     {"event.json", rawContent},
		emailURL + "/raw?part=mime":                           {"mail.eml", mimeContent},
		emailURL + "/attachments/" + sum(cleanContent):        {"bild ä\".png", cleanContent},
		emailURL + "/attachments/" + sum(infectedContent):     {"x.exe", infectedContent},
		emailURL + "/raw?source=mailparse":                    {"event.json", rawContent},
		strings.ReplaceAll(emailURL, "evt", "%65vt") + "/raw": {"event.json", rawContent},
	} {
		resp, body := b.do(t, "GET", path, "operator", "")
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, want.content, body)
		kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
		require.NoError(t, err)
		require.Equal(t, "attachment", kind)
		require.Equal(t, want.filename, params["filename"])
		require.Equal(t, "application/octet-stream", resp.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	}
}

func TestRawBeforeItIsStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.reader.body = ledger.Body{Inline: []byte(rawContent), SHA256: sha256.Sum256([]byte(rawContent))}
	resp, body := b.do(t, "GET", emailURL+"/raw", "operator", "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, rawContent, body)
	resp, body = b.do(t, "GET", emailURL+"/raw?part=mime", "operator", "")
	requireRefused(t, resp, body, http.StatusNotFound, fault.NotFound)
}

// TestSameBytesTwice: the verdict that is worse decides who may have them.
func TestSameBytesTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.reader.email.Attachments = append(b.reader.email.Attachments, mail.Attachment{
		Filename: "picture.exe", Key: "k/clean", Size: int64(len(cleanContent)), SHA256: sum(cleanContent), Verdict: mail.Suspicious,
	})
	resp, body := b.do(t, "GET", emailURL+"/attachments/"+sum(cleanContent), "viewer", "")
	requireRefused(t, resp, body, http.StatusForbidden, fault.Forbidden)
}

func TestNotInspectedNeedsOperator(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.reader.email.Attachments[0].Verdict = ""
	resp, body := b.do(t, "GET", emailURL+"/attachments/"+sum(cleanContent), "viewer", "")
	requireRefused(t, resp, body, http.StatusForbidden, fault.Forbidden)
}

func TestLostContent(t *testing.T) {
	t.Parallel()
	path := emailURL + "/attachments/" + sum(cleanContent)
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		delete(b.blobs.objects, "k/clean")
		resp, body := b.do(t, "GET", path, "viewer", "")
		requireRefused(t, resp, body, http.StatusGone, fault.ContentLost)
	})
	t.Run("changed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.blobs.objects["k/clean"] = strings.ToUpper(cleanContent)
		resp, body := b.do(t, "GET", path, "viewer", "")
		requireRefused(t, resp, body, http.StatusGone, fault.ContentLost)
	})
	t.Run("object store stops at once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.blobs.wrap = func(io.Reader) io.Reader { return iotest.ErrReader(io.ErrUnexpectedEOF) }
		resp, body := b.do(t, "GET", path, "viewer", "")
		requireRefused(t, resp, body, http.StatusServiceUnavailable, fault.StorageUnavailable)
	})
	t.Run("changed far behind the first bytes", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		large := strings.Repeat("x", 1<<20)
		b.reader.email.Attachments[0].SHA256, b.reader.email.Attachments[0].Size = sum(large), int64(len(large))
		b.blobs.objects["k/clean"] = large[1:] + "y"
		// One has its length in the header, the other comes in chunks.
		b.reader.body = ledger.Body{Key: "k/raw", SHA256: sha256.Sum256([]byte(large)), Stored: true}
		b.blobs.objects["k/raw"] = large[1:] + "y"
		for _, path := range []string{"/attachments/" + sum(large), "/raw"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+emailURL+path, nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer token-operator")
			resp, err := b.server.Client().Do(req)
			require.NoError(t, err)
			_, err = io.ReadAll(resp.Body)
			require.Error(t, err, "the download must not look whole")
			require.NoError(t, resp.Body.Close())
		}
	})
}

func TestVerifiedReads(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3*chunk + 7} {
		content := strings.Repeat("z", size)
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"plain": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "eof": iotest.DataErrReader,
		} {
			got, err := io.ReadAll(newVerified(wrap(strings.NewReader(content)), sum(content)))
			require.NoError(t, err, "%s %d", name, size)
			require.Len(t, got, size)
			got, err = io.ReadAll(newVerified(wrap(strings.NewReader(content)), sum(content+"!")))
			require.True(t, fault.Is(err, fault.ContentLost), "%s %d", name, size)
			require.Less(t, len(got), max(size, 1))
		}
	}
}

func TestDisposition(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"a.png":            `attachment; filename=a.png`,
		"a b.png":          `attachment; filename="a b.png"`,
		"ä.png":            `attachment; filename*=utf-8''%C3%A4.png`,
		"":                 `attachment`,
		"a\r\nX-Evil: 1":   `attachment; filename*=utf-8''a%0D%0AX-Evil%3A%201`,
		`"; filename=x.sh`: `attachment; filename="\"; filename=x.sh"`,
	} {
		require.Equal(t, want, disposition(name))
	}
}
