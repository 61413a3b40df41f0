package blob_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/blob"
	"mailroom/shared/blobtest"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/testenv"
)

// onEachStore runs a test on every kind of object store, in buckets that no other test uses.
func onEachStore(t *testing.T, test func(t *testing.T, cfg blob.Config)) {
	t.Parallel()
	for name, s3 := range testenv.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newConfig(t, s3))
		})
	}
}

func newConfig(t testing.TB, s3 testenv.Store) blob.Config {
	t.Helper()
	b := make([]byte, 8)
	_, err := rand.Read(b)
	require.NoError(t, err)
	name := "blob-" + hex.EncodeToString(b)
	return blob.Config{
		Endpoint: s3.Endpoint, AccessKey: config.NewSecret(s3.AccessKey), SecretKey: config.NewSecret(s3.SecretKey),
		RawBucket: name + "-raw", AttachmentsBucket: name + "-attachments",
	}
}

func open(t testing.TB, cfg blob.Config) *blob.Store {
	t.Helper()
	s, err := blob.New(cfg)
	require.NoError(t, err)
	return s
}

func newStore(t testing.TB) *blob.Store {
	t.Helper()
	s := open(t, newConfig(t, testenv.S3(t)))
	require.NoError(t, s.EnsureBuckets(t.Context()))
	return s
}

func TestStore(t *testing.T) {
	onEachStore(t, testStore)
}

func testStore(t *testing.T, cfg blob.Config) {
	require.NoError(t, open(t, cfg).EnsureBuckets(t.Context()))
	blobtest.Run(t, func(t *testing.T) blobtest.Store { return open(t, cfg) })
}

func TestBuckets(t *testing.T) {
	onEachStore(t, testBuckets)
}

func testBuckets(t *testing.T, cfg blob.Config) {
	s := open(t, cfg)
	require.True(t, fault.Is(s.Ready(t.Context()), fault.StorageUnavailable))
	err := s.PutBytes(t.Context(), blob.Raw, "k", []byte("x"), "")
	require.True(t, fault.Is(err, fault.StorageUnavailable), "a missing bucket is no lost content: %v", err)
	_, err = s.Get(t.Context(), blob.Raw, "k")
	require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)

	require.NoError(t, s.EnsureBuckets(t.Context()))
	require.NoError(t, s.EnsureBuckets(t.Context()), "a repeat finds nothing to do")
	require.NoError(t, s.Ready(t.Context()))
	cfg.SecretKey = config.NewSecret("wrong-secret-key")
	require.True(t, fault.Is(open(t, cfg).Ready(t.Context()), fault.StorageUnavailable))
}

func TestPresign(t *testing.T) {
	onEachStore(t, testPresign)
}

func testPresign(t *testing.T, cfg blob.Config) {
	s := open(t, cfg)
	require.NoError(t, s.EnsureBuckets(t.Context()))
	require.NoError(t, s.PutBytes(t.Context(), blob.Attachments, "aa/aabb", []byte("<h1>hi</h1>"), "text/html; charset=utf-8"))
	link, err := s.Presign(t.Context(), blob.Attachments, "aa/aabb", "Übersicht.html", time.Minute)
	require.NoError(t, err)
	status, header, body := fetch(t, link)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "<h1>hi</h1>", body)
	require.Equal(t, "attachment; filename*=utf-8''%C3%9Cbersicht.html", header.Get("Content-Disposition"))
	require.Equal(t, "text/html", header.Get("Content-Type"))

	status, _, _ = fetch(t, strings.Replace(link, "aa/aabb", "aa/aabc", 1))
	require.Equal(t, http.StatusForbidden, status, "a link is good for one object")
	_, err = s.Presign(t.Context(), blob.Attachments, "aa/aabb", "x", 8*24*time.Hour)
	require.Error(t, err)

	cfg.PublicEndpoint = "https://files.yourapp.example"
	link, err = open(t, cfg).Presign(t.Context(), blob.Attachments, "aa/aabb", "x", time.Minute)
	require.NoError(t, err, "nothing is asked of the public endpoint")
	require.True(t, strings.HasPrefix(link, "https://files.yourapp.example/"+cfg.AttachmentsBucket+"/aa/aabb?"), link)
}

func fetch(t *testing.T, link string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(body)
}

func TestAgeAndRemove(t *testing.T) {
	onEachStore(t, testAgeAndRemove)
}

func testAgeAndRemove(t *testing.T, cfg blob.Config) {
	s, other := open(t, cfg), open(t, cfg)
	require.NoError(t, s.EnsureBuckets(t.Context()))
	_, found, err := s.Age(t.Context(), blob.Raw, "body/aa/aabb")
	require.NoError(t, err)
	require.False(t, found)
	require.NoError(t, s.Remove(t.Context(), blob.Raw, "body/aa/aabb"), "what is missing is removed")

	require.NoError(t, s.PutBytes(t.Context(), blob.Raw, "body/aa/aabb", []byte("one"), ""))
	require.NoError(t, s.PutBytes(t.Context(), blob.Raw, "body/aa/aabb-cc", []byte("other"), ""), "a longer name in the same place")
	age, found, err := s.Age(t.Context(), blob.Raw, "body/aa/aabb")
	require.NoError(t, err)
	require.True(t, found)
	require.Less(t, age.Abs(), time.Minute)

	require.NoError(t, s.Remove(t.Context(), blob.Raw, "body/aa/aabb"))
	require.NoError(t, s.Remove(t.Context(), blob.Raw, "body/aa/aabb"))
	_, err = other.Get(t.Context(), blob.Raw, "body/aa/aabb")
	require.True(t, fault.Is(err, fault.ContentLost), "%v", err)
	kept, err := other.ReadAll(t.Context(), blob.Raw, "body/aa/aabb-cc", 100, "")
	require.NoError(t, err)
	require.Equal(t, "other", string(kept))
}

// TestAlteredContent changes an object behind Mailroom's back: the ledger's hash shows it.
func TestAlteredContent(t *testing.T) {
	onEachStore(t, testAlteredContent)
}

func testAlteredContent(t *testing.T, cfg blob.Config) {
	writer, reader := open(t, cfg), open(t, cfg)
	require.NoError(t, writer.EnsureBuckets(t.Context()))
	require.NoError(t, writer.PutBytes(t.Context(), blob.Raw, "k", []byte("altered"), ""))
	_, err := reader.ReadAll(t.Context(), blob.Raw, "k", 100, strings.Repeat("0", 64))
	require.True(t, fault.Is(err, fault.ContentLost), "%v", err)
}

// recorder answers every PUT with 200 and records the request.
type recorder struct {
	requests atomic.Int64
	header   atomic.Pointer[http.Header]
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.requests.Add(1)
	header := req.Header.Clone()
	r.header.Store(&header)
	_, _ = io.Copy(io.Discard, req.Body)
	w.Header().Set("ETag", `"x"`)
}

func fakeConfig(endpoint string) blob.Config {
	return blob.Config{
		Endpoint: endpoint, AccessKey: config.NewSecret("a"), SecretKey: config.NewSecret("b"),
		RawBucket: "raw", AttachmentsBucket: "attachments",
	}
}

// TestSmallPutIsOnePlainRequest: a small object is one request that any S3 store
// understands, without a look-up of the region, chunked signature or trailing checksum.
func TestSmallPutIsOnePlainRequest(t *testing.T) {
	t.Parallel()
	var rec recorder
	server := httptest.NewServer(&rec)
	t.Cleanup(server.Close)
	s := open(t, fakeConfig(server.URL))
	require.NoError(t, s.Put(t.Context(), blob.Raw, "k", strings.NewReader("hello"), 5, "text/plain"))
	require.EqualValues(t, 1, rec.requests.Load())
	header := *rec.header.Load()
	require.Equal(t, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", header.Get("X-Amz-Content-Sha256"))
	require.Equal(t, "5", header.Get("Content-Length"))
	require.Empty(t, header.Get("X-Amz-Trailer"))
	require.Empty(t, header.Get("Content-Encoding"))

	got, err := s.ReadAll(t.Context(), blob.Raw, "k", 5, "")
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.EqualValues(t, 1, rec.requests.Load(), "what was just written is at hand")
}

func TestStoreUnavailable(t *testing.T) {
	t.Parallel()
	s := open(t, fakeConfig("http://127.0.0.1:1"))
	for name, call := range map[string]func() error{
		"put":    func() error { return s.PutBytes(t.Context(), blob.Raw, "k", []byte("x"), "") },
		"get":    func() error { _, err := s.Get(t.Context(), blob.Raw, "k"); return err },
		"exists": func() error { _, err := s.Exists(t.Context(), blob.Raw, "k"); return err },
		"ready":  func() error { return s.Ready(t.Context()) },
		"ensure": func() error { return s.EnsureBuckets(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := call()
			require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
			require.True(t, fault.From(err).Temporary)
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*blob.Config){
		"no endpoint":      func(c *blob.Config) { c.Endpoint = "" },
		"a bare host":      func(c *blob.Config) { c.Endpoint = "localhost:9000" },
		"a path":           func(c *blob.Config) { c.Endpoint = "http://h/x" },
		"credentials":      func(c *blob.Config) { c.Endpoint = "http://u:hunter2@h" },
		"public endpoint":  func(c *blob.Config) { c.PublicEndpoint = "ftp://h" },
		"one bucket":       func(c *blob.Config) { c.RawBucket = c.AttachmentsBucket },
		"a missing bucket": func(c *blob.Config) { c.RawBucket = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := fakeConfig("http://127.0.0.1:1")
			change(&cfg)
			_, err := blob.New(cfg)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func BenchmarkPutBytes(b *testing.B) {
	s := newStore(b)
	for _, size := range []int{4 << 10, 30 << 10, 1 << 20} {
		content := make([]byte, size)
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				require.NoError(b, s.PutBytes(b.Context(), blob.Raw, fmt.Sprintf("bench/%d", i), content, ""))
			}
		})
	}
}
