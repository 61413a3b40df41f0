package dispatch

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQueueHasTwoLanes: the oldest first, and every fourth start one of new mail.
func TestQueueHasTwoLanes(t *testing.T) {
	t.Parallel()
	q := newClaimQueue()
	put := func(fresh bool, ids ...int64) {
		for _, id := range ids {
			c := claim{fresh: fresh}
			c.row.Email.ID = id
			q.put(c)
		}
	}
	order := func() string {
		out := ""
		for c, ok := q.pop(); ok; c, ok = q.pop() {
			out += strconv.FormatInt(c.row.Email.ID, 10) + " "
		}
		return out
	}
	put(true, 90, 91, 92)
	put(false, 1, 2, 3, 4, 5, 6, 7, 8)
	require.Equal(t, "1 2 3 90 4 5 6 91 7 8 92 ", order())
	put(true, 10, 11, 12, 13, 14)
	put(false, 20, 21)
	require.Equal(t, "10 11 12 13 14 20 21 ", order(), "what is older goes first")
	require.Empty(t, order())
}
