package access

import (
	"sync"
	"time"
)

// cacheFor is how long the lookup of a token or a session stays valid, and so the longest
// time for which one that another process revoked still works. cacheRows bounds the cache.
const (
	cacheFor  = 3 * time.Second
	cacheRows = 4096
)

// cache keeps answers of the database for a moment. It is safe for concurrent use.
type cache[T any] struct {
	mu   sync.Mutex
	rows map[[32]byte]cached[T]
}

type cached[T any] struct {
	row   T
	err   error
	until time.Time
}

func newCache[T any]() *cache[T] { return &cache[T]{rows: map[[32]byte]cached[T]{}} }

// get returns the answer for sum; false where there is none, or it is too old.
func (c *cache[T]) get(sum [32]byte, now time.Time) (cached[T], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.rows[sum]
	return found, ok && now.Before(found.until)
}

// put keeps row, or that there is none, until it is cacheFor old. A full cache
// starts anew.
func (c *cache[T]) put(sum [32]byte, row T, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.rows) >= cacheRows {
		clear(c.rows)
	}
	c.rows[sum] = cached[T]{row: row, err: err, until: now.Add(cacheFor)}
}

// drop removes everything.
func (c *cache[T]) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.rows)
}
