package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"

	"mailroom/shared/fault"
)

const (
	// partSize is what a large Put holds in memory, and the largest object that
	// is written in one request from a reader.
	partSize = 16 << 20
	// smallPut is the largest object that Put reads whole.
	smallPut = 1 << 20
	// maxContentType bounds a declared content type in bytes.
	maxContentType = 255

	unknownType = "application/octet-stream"
)

// Put writes size bytes of r under key. r must hold exactly that many; it is not
// closed. An io.ReaderAt, such as a file, is read from its beginning whatever its
// position, and again when the request is retried. After an error the object exists
// whole or not at all. An object above 16 MiB is sent in parts, of which one is in
// memory at a time, or none if r is an io.ReaderAt.
func (s *Store) Put(ctx context.Context, b Bucket, key string, r io.Reader, size int64, contentType string) error {
	if size < 0 {
		return fmt.Errorf("put object %s: the size must be known", key)
	}
	if at, ok := r.(io.ReaderAt); ok {
		r = io.NewSectionReader(at, 0, size)
	} else {
		r = struct{ io.Reader }{r} // read once, from its position, and never closed
	}
	if size <= smallPut {
		content := make([]byte, size)
		if _, err := io.ReadFull(r, content); err != nil {
			return fmt.Errorf("put object %s: read content: %w", key, err)
		}
		return s.PutBytes(ctx, b, key, content, contentType)
	}

	name, err := s.bucket(b)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	_, err = s.core.Client.PutObject(ctx, name, key, r, size, minio.PutObjectOptions{
		ContentType: cleanType(contentType),
		PartSize:    partSize,
		NumThreads:  1,
		// One plain signature over the headers instead of one per chunk.
		DisableContentSha256: true,
	})

	return classify("put object "+key, err)
}

// PutBytes writes content under key in one request whose signature covers the
// content, so that the store refuses content altered in transit. A small object is
// cached for ReadAll.
func (s *Store) PutBytes(ctx context.Context, b Bucket, key string, content []byte, contentType string) error {
	name, err := s.bucket(b)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	hash := hashOf(content)
	_, err = s.core.PutObject(ctx, name, key, bytes.NewReader(content), int64(len(content)), "", hash,
		minio.PutObjectOptions{ContentType: cleanType(contentType), DisableContentSha256: true})
	if err != nil {
		return classify("put object "+key, err)
	}
	s.cache.put(objectID{b, key}, content, hash)
	return nil
}

// Get opens an object for reading from its beginning. The caller closes it, and
// verifies the content where it matters. ctx covers the reading as well.
func (s *Store) Get(ctx context.Context, b Bucket, key string) (io.ReadCloser, error) {
	if content, _, found := s.cache.get(objectID{b, key}); found {
		return io.NopCloser(bytes.NewReader(content)), nil
	}
	body, _, err := s.open(ctx, b, key)
	return body, err
}

// open returns the content and the size that the store reports.
func (s *Store) open(ctx context.Context, b Bucket, key string) (io.ReadCloser, int64, error) {
	name, err := s.bucket(b)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	body, info, _, err := s.core.GetObject(ctx, name, key, minio.GetObjectOptions{})
	if err != nil {
		cancel()
		return nil, 0, classify("get object "+key, err)
	}
	return &reading{body: body, key: key, cancel: cancel}, info.Size, nil
}

// reading is the body of an object; it turns errors of the store into faults.
type reading struct {
	body   io.ReadCloser
	key    string
	cancel context.CancelFunc
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = classify("read object "+r.key, err)
	}
	return n, err // io.EOF stays bare
}

func (r *reading) Close() error {
	defer r.cancel()
	return r.body.Close() //nolint:wrapcheck // says all there is
}

// ReadAll returns the whole object, which the caller may keep and change. It fails
// with body_too_large if the object is longer than limit, and with content_lost if
// its SHA-256 is not sha256hex (lower case; not checked if empty).
func (s *Store) ReadAll(ctx context.Context, b Bucket, key string, limit int64, sha256hex string) ([]byte, error) {
	id := objectID{b, key}
	if content, hash, found := s.cache.get(id); found {
		if err := check(key, int64(len(content)), limit, hash, sha256hex); err != nil {
			return nil, err
		}
		return bytes.Clone(content), nil
	}

	body, size, err := s.open(ctx, b, key)
	if err != nil {
		return nil, err
	}

	defer func() { _ = body.Close() }()
	if err := check(key, size, limit, "", ""); err != nil {
		return nil, err
	}

	content := make([]byte, max(size, 0))
	if _, err := io.ReadFull(body, content); err != nil {
		return nil, classify("read object "+key, err)
	}

	hash := hashOf(content)
	if err := check(key, size, limit, hash, sha256hex); err != nil {
		return nil, err
	}

	s.cache.put(id, content, hash)
	return content, nil
}

// check compares an object with the limit and the hash that the caller expects.
func check(key string, size, limit int64, hash, want string) error {
	if size > limit {
		return fmt.Errorf("read object %s: %w", key,
			fault.Newf(fault.BodyTooLarge, "the stored content has %d bytes, more than the limit of %d", size, limit))
	}
	if want != "" && hash != want {
		return fmt.Errorf("read object %s: %w", key,
			fault.New(fault.ContentLost, "the stored content is not what was written"))
	}
	return nil
}

// Exists reports whether there is an object under key.
func (s *Store) Exists(ctx context.Context, b Bucket, key string) (bool, error) {
	if _, _, found := s.cache.get(objectID{b, key}); found {
		return true, nil
	}
	name, err := s.bucket(b)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = s.core.StatObject(ctx, name, key, minio.StatObjectOptions{})
	if err = classify("look for object "+key, err); fault.Is(err, fault.ContentLost) {
		return false, nil
	}
	return err == nil, err
}

// Presign returns a URL under which anyone may download the object until expiry (one
// second to seven days) has passed. Browsers save it as filename and do not display
// it. It does not call the store: the object may not exist.
func (s *Store) Presign(ctx context.Context, b Bucket, key, filename string, expiry time.Duration) (string, error) {
	name, err := s.bucket(b)
	if err != nil {
		return "", err
	}
	u, err := s.public.PresignedGetObject(ctx, name, key, expiry, url.Values{
		"response-content-disposition": {disposition(filename)},
	})
	if err != nil {
		return "", fmt.Errorf("presign object %s: %w", key, err)
	}
	return u.String(), nil
}

// disposition is the header field of RFC 6266, with the file name in the form of
// RFC 8187 where it is not plain ASCII.
func disposition(filename string) string {
	if filename == "" {
		return "attachment"
	}
	if d := mime.FormatMediaType("attachment", map[string]string{"filename": filename}); d != "" {
		return d
	}
	return "attachment"
}

// cleanType returns a content type that is safe in a header; the sender of a mail can
// declare anything.
func cleanType(declared string) string {
	if declared == "" || len(declared) > maxContentType {
		return unknownType
	}
	media, _, err := mime.ParseMediaType(declared)
	if err != nil {
		return unknownType
	}
	return media
}

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
