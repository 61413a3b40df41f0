package blob

import (
	"context"
	"time"

	"github.com/minio/minio-go/v7"

	"mailroom/shared/fault"
)

// Age returns how long ago an object was last written; false means that there is no
// such object.
func (s *Store) Age(ctx context.Context, b Bucket, key string) (time.Duration, bool, error) {
	name, err := s.bucket(b)
	if err != nil {
		return 0, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := s.core.StatObject(ctx, name, key, minio.StatObjectOptions{})
	if err = classify("look for object "+key, err); fault.Is(err, fault.ContentLost) {
		return 0, false, nil
	}
	return time.Since(info.LastModified), err == nil, err
}

// Remove deletes an object. A missing one is no error. The caches of other processes
// may keep a small one for a while.
func (s *Store) Remove(ctx context.Context, b Bucket, key string) error {
	name, err := s.bucket(b)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s.cache.forget(objectID{b, key})
	return classify("remove object "+key, s.core.RemoveObject(ctx, name, key, minio.RemoveObjectOptions{}))
}

func (c *cache) forget(id objectID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, found := c.objects[id]; found {
		c.drop(e)
	}
}
