package blob

import (
	"context"
	"time"

	"github.com/minio/minio-go/v7"

	"mailroom/shared/fault"
)

// Age is how long ago an object was written for the last time; false means that
// there is none.
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

// Remove removes an object. One that is not there is no error. Other processes may
// have a small one at hand for a while.
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
