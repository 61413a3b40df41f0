package blob

import (
	"container/list"
	"sync"
)

// Bounds of the cache in bytes of content. A worker reads an object that it stored
// again within seconds, to inspect and to deliver it.
const (
	cacheObject = 256 << 10
	cacheTotal  = 32 << 20
)

// cache holds the content of small objects and evicts the least recently used.
type cache struct {
	mu      sync.Mutex
	bytes   int
	order   *list.List // of *object, most recently used in front
	objects map[objectID]*list.Element
}

type objectID struct {
	bucket Bucket
	key    string
}

type object struct {
	id      objectID
	content []byte
	sha256  string
}

func newCache() *cache {
	return &cache{order: list.New(), objects: make(map[objectID]*list.Element)}
}

// get returns the content, which the caller must not change, and its SHA-256.
func (c *cache) get(id objectID) (content []byte, sha256 string, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, found := c.objects[id]
	if !found {
		return nil, "", false
	}
	c.order.MoveToFront(e)
	o := e.Value.(*object) //nolint:forcetypeassert // nothing else is put there
	return o.content, o.sha256, true
}

// put stores a copy of content if it is small enough.
func (c *cache) put(id objectID, content []byte, sha256 string) {
	if len(content) > cacheObject {
		return
	}
	o := &object{id: id, content: append([]byte(nil), content...), sha256: sha256}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, found := c.objects[id]; found {
		c.drop(e)
	}
	c.objects[id] = c.order.PushFront(o)
	c.bytes += len(content)
	for c.bytes > cacheTotal {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	o := c.order.Remove(e).(*object) //nolint:forcetypeassert // nothing else is put there
	delete(c.objects, o.id)
	c.bytes -= len(o.content)
}
