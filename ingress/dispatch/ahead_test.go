package dispatch

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
)

func TestLatelyIsBounded(t *testing.T) {
	t.Parallel()
	clock, l := time.Unix(1_000_000, 0), newLately()
	for id := range int64(latelyMost + 10) {
		l.add(id+1, clock)
	}
	require.Len(t, l.known, latelyMost)
	require.Equal(t, []int64{latelyMost + 10, latelyMost + 9}, l.ids(clock, 2), "the latest")
	require.Len(t, l.ids(clock, 2*latelyMost), latelyMost)
	known, started := l.has(10)
	require.False(t, known || started, "forgotten")

	l.settle(1000, true)
	l.settle(1001, false)
	l.settle(10, true) // of one that is forgotten
	known, started = l.has(1000)
	require.True(t, known && started)
	known, _ = l.has(1001)
	require.False(t, known, "a failed start is none")
	require.NotContains(t, l.ids(clock, latelyMost), int64(1001))
	require.Len(t, l.known, latelyMost-1)
	require.Empty(t, l.ids(clock.Add(latelyFor+time.Second), latelyMost))
}

// TestAheadCountsFreshStarts: fresh rows far behind a backlog are seen.
func TestAheadCountsFreshStarts(t *testing.T) {
	t.Parallel()
	clock, ledger := time.Unix(1_000_000, 0), &ingresstest.Ledger{Busy: true}
	fill(ledger, 500)
	a := ahead{inbox: ledger, lately: newLately(), most: 10}
	for i := range 10 {
		require.Zero(t, a.allow(t.Context(), clock), i)
		a.started()
		a.lately.add(int64(491+i), clock)
	}
	require.Positive(t, a.allow(t.Context(), clock))
	clock = clock.Add(lookEvery)
	require.Positive(t, a.allow(t.Context(), clock), "it has looked")
	ledger.Rows[0].Started = true
	ledger.Rows[495].Started = true // the same one in both ways
	clock = clock.Add(lookSlowest)
	require.Positive(t, a.allow(t.Context(), clock))
	require.Equal(t, 11, a.known)

	// Looks that find nothing new become rarer.
	looks := ledger.Tally().Looks
	for range 100 {
		clock = clock.Add(lookEvery)
		require.Positive(t, a.allow(t.Context(), clock))
	}
	require.LessOrEqual(t, ledger.Tally().Looks-looks, 20)
	ledger.Busy = false
	for i := range ledger.Rows {
		ledger.Rows[i].Started = true
	}
	clock = clock.Add(lookSlowest)
	require.Zero(t, a.allow(t.Context(), clock), "the workers have stored them")
	require.Equal(t, lookEvery, a.every)
}

func TestAheadUnbounded(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{Busy: true}
	a := ahead{inbox: ledger, lately: newLately(), most: -1}
	for range 1000 {
		require.Zero(t, a.allow(t.Context(), time.Now()))
		a.started()
	}
	require.Zero(t, ledger.Tally().Looks)
}

// TestLanes: the oldest first, and every fourth start one of new mail.
func TestLanes(t *testing.T) {
	t.Parallel()
	l := newLanes()
	put := func(fresh bool, ids ...int64) {
		for _, id := range ids {
			c := claim{fresh: fresh}
			c.row.Email.ID = id
			l.put(c)
		}
	}
	order := func() string {
		out := ""
		for c, ok := l.next(); ok; c, ok = l.next() {
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
