package access

import (
	"sync"
	"time"
)

const (
	// cacheFor is how long the result of a lookup is used: a token or session that
	// another process revokes stays valid for at most this long.
	cacheFor  = 3 * time.Second
	cacheRows = 4096
)

// cache holds results of the database, found or not found, for cacheFor. It is safe for
// concurrent use.
type cache[T any] struct {
	mu   sync.Mutex
	rows map[[32]byte]cached[T]
}

// cached is one result.
type cached[T any] struct {
	row   T
	err   error
	until time.Time
}

func newCache[T any]() *cache[T] { return &cache[T]{rows: map[[32]byte]cached[T]{}} }

// get returns the result for sum, and false if there is none or it is too old.
func (c *cache[T]) get(sum [32]byte, now time.Time) (cached[T], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.rows[sum]
	return found, ok && now.Before(found.until)
}

// put stores row, or the error that there is none, for cacheFor. A full cache is emptied
// first.
func (c *cache[T]) put(sum [32]byte, row T, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.rows) >= cacheRows {
		clear(c.rows)
	}
	c.rows[sum] = cached[T]{row: row, err: err, until: now.Add(cacheFor)}
}

// clear removes every result.
func (c *cache[T]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.rows)
}
