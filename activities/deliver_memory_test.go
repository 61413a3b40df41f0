package activities_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

// Mail to thousands makes requests of tens of megabytes: those that are under way at a
// time are bounded, and the memory comes back.
func TestLargeRequestsAreBoundedTogether(t *testing.T) {
	t.Parallel()
	b := setupDeliver(t)
	for i := range 10_000 {
		b.books.manifest.Recipients = append(b.books.manifest.Recipients, strings.Repeat("x", 1000)+strconv.Itoa(i)+"@y.example")
	}
	var refused []error
	for range 12 { // each is made while those before it are under way
		b.wire.answers = append(b.wire.answers, func(call func() error) (int, error) {
			if err := call(); err != nil {
				refused = append(refused, err)
				return 0, err
			}
			if len(refused) == 0 {
				_, _ = b.run(t.Context())
			}
			return 200, nil
		})
	}
	_, err := b.run(t.Context())
	require.NoError(t, err)
	require.Len(t, refused, 1)
	require.True(t, fault.Is(refused[0], fault.Overloaded), "%v", refused[0])
	require.Equal(t, 5, b.wire.calls)

	clear(b.books.deliveries)
	_, err = b.run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 6, b.wire.calls)
}
