package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/blob"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// countedBlobs counts what is asked of the object store, and what is read of it.
type countedBlobs struct {
	content func(key string) io.Reader
	gets    atomic.Int64
}

func (c *countedBlobs) Get(_ context.Context, _ blob.Bucket, key string) (io.ReadCloser, error) {
	c.gets.Add(1)
	return io.NopCloser(c.content(key)), nil
}

// TestImagesAreReadOnceEach: thousands of images in one mail cost the object store a
// bounded number of reads for each view, and images that are never shown none.
func TestImagesAreReadOnceEach(t *testing.T) {
	t.Parallel()
	store := &countedBlobs{content: func(string) io.Reader { return strings.NewReader("GIF89a") }}
	b := setup(t, func(_ *Config, d *Deps) { d.Blobs = store })
	email := b.emails.emails[0]
	var pages strings.Builder
	for i := range 1000 {
		kind := "image/gif"
		if i%2 == 1 {
			kind = "image/svg+xml"
		}
		email.Attachments = append(email.Attachments, mail.Attachment{
			ContentID: fmt.Sprintf("i%d", i), Key: "k", Size: 6, DetectedType: kind, Verdict: mail.Clean, SHA256: "s",
		})
		fmt.Fprintf(&pages, "<img src=cid:i%d><img src=cid:none%d>", i, i)
	}
	for name, c := range map[string]struct {
		html  string
		reads int64
	}{
		"one image, many times":   {strings.Repeat(`<img src=cid:i0>`, maxHTML/16), 1},
		"many images":             {pages.String(), maxReads},
		"never shown, many times": {strings.Repeat(`<img src=cid:i1>`, maxHTML/16), 0},
	} {
		store.gets.Store(0)
		got := newFrame().clean(c.html, b.console.mail.pictures(t.Context(), email))
		require.Equal(t, c.reads, store.gets.Load(), name)
		require.LessOrEqual(t, strings.Count(got.HTML, "data:image/gif"), maxImages/6, name)
	}
}

// hugeMessage is a stored mail with a text of 64 MiB.
func hugeMessage() io.Reader {
	head, err := json.Marshal(mail.Message{Subject: "s"})
	if err != nil {
		panic(err)
	}
	return io.MultiReader(strings.NewReader(strings.TrimSuffix(string(head), "}")+`,"text":"`),
		io.LimitReader(letters{}, 64<<20), strings.NewReader(`","headers":[{"name":"X-Last","value":"y"}]}`))
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestLargeMailIsNotHeldForItsPage is not parallel: it looks at what the process allocates.
func TestLargeMailIsNotHeldForItsPage(t *testing.T) { //nolint:paralleltest // see above
	store := &countedBlobs{content: func(string) io.Reader { return hugeMessage() }}
	b := setup(t, func(_ *Config, d *Deps) { d.Blobs = store })
	b.emails.manifest, b.emails.messages[1] = &ledger.Manifest{MessageKey: "message"}, mail.Message{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rec := b.get(t, vera, "/emails/evt_0001?source=mailparse")
	runtime.ReadMemStats(&after)
	require.Equal(t, http.StatusOK, rec.Code)
	require.Contains(t, rec.Body.String(), "X-Last")
	require.EqualValues(t, 1, store.gets.Load())
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
}
