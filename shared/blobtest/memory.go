package blobtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"sync"
	"time"

	"mailroom/shared/blob"
	"mailroom/shared/fault"
)

var _ Store = (*Memory)(nil)

// Memory is a Store in memory. Its presigned links lead nowhere.
type Memory struct {
	mu      sync.Mutex
	down    bool
	objects map[blob.Bucket]map[string][]byte
}

// NewMemory returns an empty store with both buckets.
func NewMemory() *Memory {
	return &Memory{objects: map[blob.Bucket]map[string][]byte{blob.Raw: {}, blob.Attachments: {}}}
}

// SetDown makes every call fail with storage_unavailable while down is true.
func (m *Memory) SetDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

// Remove deletes an object, as an operator or a lost disk would.
func (m *Memory) Remove(b blob.Bucket, key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects[b], key)
}

// Keys returns the keys of b, unordered.
func (m *Memory) Keys(b blob.Bucket) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := make([]string, 0, len(m.objects[b]))
	for key := range m.objects[b] {
		keys = append(keys, key)
	}
	return keys
}

// bucket returns the objects of b. m.mu must be held.
func (m *Memory) bucket(ctx context.Context, b blob.Bucket) (map[string][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory store: %w", err)
	}
	if m.down {
		return nil, fault.New(fault.StorageUnavailable, "the object store does not answer; it will be tried again")
	}
	objects, ok := m.objects[b]
	if !ok {
		return nil, fmt.Errorf("memory store: no bucket %q", b)
	}
	return objects, nil
}

// Put is Store.Put.
func (m *Memory) Put(ctx context.Context, b blob.Bucket, key string, r io.Reader, size int64, contentType string) error {
	if size < 0 {
		return fmt.Errorf("put object %s: the size must be known", key)
	}
	if at, ok := r.(io.ReaderAt); ok {
		r = io.NewSectionReader(at, 0, size)
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(r, content); err != nil {
		return fmt.Errorf("put object %s: read content: %w", key, err)
	}
	return m.PutBytes(ctx, b, key, content, contentType)
}

// PutBytes is Store.PutBytes.
func (m *Memory) PutBytes(ctx context.Context, b blob.Bucket, key string, content []byte, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	objects, err := m.bucket(ctx, b)
	if err != nil {
		return err
	}
	objects[key] = bytes.Clone(content)
	return nil
}

// Get is Store.Get.
func (m *Memory) Get(ctx context.Context, b blob.Bucket, key string) (io.ReadCloser, error) {
	content, err := m.read(ctx, b, key)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func (m *Memory) read(ctx context.Context, b blob.Bucket, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	objects, err := m.bucket(ctx, b)
	if err != nil {
		return nil, err
	}
	content, ok := objects[key]
	if !ok {
		return nil, fault.New(fault.ContentLost, "the object store has no such content")
	}
	return bytes.Clone(content), nil
}

// ReadAll is Store.ReadAll.
func (m *Memory) ReadAll(ctx context.Context, b blob.Bucket, key string, limit int64, sha256hex string) ([]byte, error) {
	content, err := m.read(ctx, b, key)
	switch {
	case err != nil:
		return nil, err
	case int64(len(content)) > limit:
		return nil, fault.New(fault.BodyTooLarge, "the stored content is longer than is allowed")
	case sha256hex != "" && hashOf(content) != sha256hex:
		return nil, fault.New(fault.ContentLost, "the stored content is not what was written")
	}
	return content, nil
}

// Exists is Store.Exists.
func (m *Memory) Exists(ctx context.Context, b blob.Bucket, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	objects, err := m.bucket(ctx, b)
	if err != nil {
		return false, err
	}
	_, ok := objects[key]
	return ok, nil
}

// Presign is Store.Presign.
func (m *Memory) Presign(ctx context.Context, b blob.Bucket, key, filename string, expiry time.Duration) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.bucket(ctx, b); err != nil {
		return "", err
	}
	u := url.URL{Scheme: "http", Host: "blob.invalid", Path: "/" + string(b) + "/" + key, RawQuery: url.Values{
		"response-content-disposition": {"attachment; filename=" + strconv.Quote(filename)},
		"X-Amz-Expires":                {strconv.Itoa(int(expiry.Seconds()))},
	}.Encode()}
	return u.String(), nil
}
