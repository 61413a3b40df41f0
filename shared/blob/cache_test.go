package blob

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache()
	c.put(objectID{Raw, "large"}, make([]byte, cacheObject+1), "")
	_, _, found := c.get(objectID{Raw, "large"})
	require.False(t, found)

	const n = cacheTotal/cacheObject + 10
	id := func(i int) objectID { return objectID{Raw, fmt.Sprint(i)} }
	c.put(id(0), make([]byte, cacheObject), "0")
	for i := 1; i < n; i++ {
		_, hash, found := c.get(id(0)) // the oldest stays because it is in use
		require.True(t, found)
		require.Equal(t, "0", hash)
		c.put(id(i), make([]byte, cacheObject), "")
		c.put(id(i), make([]byte, cacheObject), "") // a repeat counts once
	}
	require.Equal(t, cacheTotal, c.bytes)
	require.Len(t, c.objects, cacheTotal/cacheObject)
	require.Equal(t, len(c.objects), c.order.Len())
	_, _, found = c.get(id(1))
	require.False(t, found)
	_, _, found = c.get(id(n - 1))
	require.True(t, found)
}

func TestDisposition(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"": "attachment", "a.pdf": "attachment; filename=a.pdf", `a "b".pdf`: `attachment; filename="a \"b\".pdf"`,
	} {
		require.Equal(t, want, disposition(name))
	}
}
