package ingress

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMarksShareAWrite(t *testing.T) {
	t.Parallel()
	ledger := &memoryLedger{}
	fill(ledger, 700)
	log := &lines{}
	m := newMarker(ledger, log.logger())
	for i := range 700 {
		m.add(int64(i + 1))
	}
	m.start()
	m.stop()
	require.Equal(t, 700, ledger.started())
	require.LessOrEqual(t, ledger.tally().markings, 700/markBatch+1)

	// A database that is away costs the marks, not the program.
	ledger.markErr = errAway
	m = newMarker(ledger, log.logger())
	m.add(1)
	m.start()
	m.stop()
	require.Contains(t, log.String(), "inbox.mark")
}

// TestMarksWaitForEachOther: a trickle is written together, a flood at once.
func TestMarksWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := &memoryLedger{}
		fill(ledger, 2*markBatch)
		m := newMarker(ledger, (&lines{}).logger())
		m.start()
		began := time.Now()
		for i := range 3 {
			m.add(int64(i + 1))
		}
		eventually(t, func() bool { return ledger.started() == 3 }, "they are written")
		require.GreaterOrEqual(t, time.Since(began), markLinger)
		require.Equal(t, 1, ledger.tally().markings)
		began = time.Now()
		for i := range markBatch {
			m.add(int64(i + 4))
		}
		synctest.Wait()
		require.Equal(t, 2, ledger.tally().markings)
		require.Zero(t, time.Since(began), "a full batch waits for nobody")
		m.stop()
	})
}

// TestMarksOutliveAnOutage: what could not be written is written later, and the log
// tells it once.
func TestMarksOutliveAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger, log := &memoryLedger{markErr: errAway}, &lines{}
		fill(ledger, 300)
		m := newMarker(ledger, log.logger())
		m.start()
		for i := range 300 {
			m.add(int64(i + 1))
		}
		<-time.After(time.Minute) // of the bubble
		require.Zero(t, ledger.started())
		require.Equal(t, 1, strings.Count(log.String(), `"inbox.mark"`))
		ledger.set(func(l *memoryLedger) { l.markErr = nil })
		eventually(t, func() bool { return ledger.started() == 300 }, "they are written")
		m.stop()
		require.Equal(t, 1, strings.Count(log.String(), `"inbox.mark_again"`))
	})
}

func TestMarksAreBounded(t *testing.T) {
	t.Parallel()
	ledger, log := &memoryLedger{}, &lines{}
	fill(ledger, 200)
	m := newMarker(ledger, log.logger())
	m.add(1)
	for range marksMost {
		m.add(2)
	}
	require.Equal(t, marksMost, m.size())
	m.start()
	m.stop()
	require.False(t, ledger.rows[0].started, "the oldest is given up")
	require.True(t, ledger.rows[1].started)
	require.Contains(t, log.String(), "inbox.marks_given_up")
}
