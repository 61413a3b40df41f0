package e2e_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/testenv"
)

// answerLimit is how long an answer may take during an outage: five seconds, to which a
// machine full of other tests may add as much. TestEverythingHangs requires the five, on its
// own clock.
const answerLimit = 10 * time.Second

// outage is something going wrong for a while.
type outage struct {
	name    string
	set     func(gates)
	lasts   time.Duration // at least
	refuses bool          // nothing durable can be reached
}

func outages() []outage {
	return []outage{
		{name: "temporal-refuses", lasts: 2 * time.Second, set: func(g gates) { g.temporal.set(refuse) }},
		{name: "temporal-hangs", lasts: 4 * time.Second, set: func(g gates) { g.temporal.set(hang) }},
		{name: "temporal-slow", lasts: 2 * time.Second, set: func(g gates) { g.temporal.set(slow) }},
		{name: "temporal-drops", lasts: 2 * time.Second, set: func(g gates) { g.temporal.set(drop) }},
		{name: "postgres-refuses", lasts: 2 * time.Second, set: func(g gates) { g.postgres.set(refuse) }},
		{name: "postgres-hangs", lasts: 4 * time.Second, set: func(g gates) { g.postgres.set(hang) }},
		{name: "postgres-slow", lasts: 2 * time.Second, set: func(g gates) { g.postgres.set(slow) }},
		{name: "postgres-drops", lasts: 2 * time.Second, set: func(g gates) { g.postgres.set(drop) }},
		{name: "minio-refuses", lasts: 2 * time.Second, set: func(g gates) { g.minio.set(refuse) }},
		{name: "minio-hangs", lasts: 4 * time.Second, set: func(g gates) { g.minio.set(hang) }},
		{name: "stores-refuse", lasts: 3 * time.Second, refuses: true, set: func(g gates) {
			g.postgres.set(refuse)
			g.temporal.set(refuse)
		}},
		{name: "stores-hang", lasts: 6 * time.Second, refuses: true, set: func(g gates) {
			g.postgres.set(hang)
			g.temporal.set(hang)
		}},
		{name: "all-refuse", lasts: 3 * time.Second, refuses: true, set: func(g gates) {
			g.postgres.set(refuse)
			g.temporal.set(refuse)
			g.minio.set(refuse)
		}},
	}
}

// TestStreamThroughOutages takes away everything that accepting depends on, one
// after the other, in the middle of a stream of emails. One durable place is enough
// to accept; with none left the only answer is 503. Then nothing is lost and
// nothing is there twice.
func TestStreamThroughOutages(t *testing.T) {
	t.Parallel()
	w, g := newGatedWorld(t, nil)
	s := startStream(t, w)
	s.flows(t, 5)
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			defer g.open()
			o.set(g)
			s.enter(o.name)
			end := time.After(o.lasts)
			if o.refuses {
				s.onlyRefuses(t, o.name)
			} else {
				s.flows(t, 8)
				testenv.Eventually(t, func() bool { return s.large(o.name) }, patience, tick, "large ones as well")
			}
			<-end
			s.answered(t, o)
			s.enter("after-" + o.name)
			g.open()
			s.flows(t, 5)
			for _, one := range s.begun(o.name) {
				require.LessOrEqual(t, one.took, answerLimit, "%s: %d", one.id, one.status)
			}
		})
	}
	t.Run("audit", s.audit)
}

// answered requires the answers that belong to an outage. Where one durable place is left,
// a machine full of other tests may make it too slow for a few requests, which are answered
// 503; that none is on an idle machine is required in the tests of the fallback start.
func (s *stream) answered(t *testing.T, o outage) {
	t.Helper()
	all, late := s.within(o.name), 0
	for _, one := range all {
		switch {
		case o.refuses:
			require.Equal(t, http.StatusServiceUnavailable, one.status, "%s after %s", one.id, one.took)
		case one.status == http.StatusServiceUnavailable && one.retryAfter != "":
			late++
		default:
			require.Equal(t, http.StatusOK, one.status, "%s of %d bytes after %s", one.id, one.size, one.took)
		}
	}
	require.LessOrEqual(t, late, len(all)/5, "%s: turned away", o.name)
}

// onlyRefuses waits for answers of a phase and sees that all say 503 and when to
// come back.
func (s *stream) onlyRefuses(t *testing.T, phase string) {
	t.Helper()
	testenv.Eventually(t, func() bool { return len(s.within(phase)) >= 20 }, patience, tick)
	for _, one := range s.within(phase) {
		require.Equal(t, http.StatusServiceUnavailable, one.status, "%s after %s", one.id, one.took)
		seconds, err := strconv.Atoi(one.retryAfter)
		require.NoError(t, err, "Retry-After %q", one.retryAfter)
		require.Positive(t, seconds)
	}
}
