package dispatch

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
)

func TestMarksShareAWrite(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	fill(ledger, 700)
	log := &ingresstest.Log{}
	m := newMarkBuffer(ledger, log.Logger())
	for i := range 700 {
		m.add(int64(i + 1))
	}
	m.start()
	m.stop()
	require.Equal(t, 700, ledger.Started())
	require.LessOrEqual(t, ledger.Tally().Markings, 700/markBatch+1)

	// A database that is unavailable costs the marks, not the program.
	ledger.MarkErr = ingresstest.ErrUnavailable
	m = newMarkBuffer(ledger, log.Logger())
	m.add(1)
	m.start()
	m.stop()
	require.Contains(t, log.String(), "inbox.mark")
}

// TestMarksWaitForEachOther: a trickle is written together, a flood at once.
func TestMarksWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := &ingresstest.Ledger{}
		fill(ledger, 2*markBatch)
		m := newMarkBuffer(ledger, (&ingresstest.Log{}).Logger())
		m.start()
		began := time.Now()
		for i := range 3 {
			m.add(int64(i + 1))
		}
		ingresstest.Eventually(t, func() bool { return ledger.Started() == 3 }, "they are written")
		require.GreaterOrEqual(t, time.Since(began), markLinger)
		require.Equal(t, 1, ledger.Tally().Markings)
		began = time.Now()
		for i := range markBatch {
			m.add(int64(i + 4))
		}
		synctest.Wait()
		require.Equal(t, 2, ledger.Tally().Markings)
		require.Zero(t, time.Since(began), "a full batch does not wait")
		m.stop()
	})
}

// TestMarksOutliveAnOutage: what could not be written is written later, and the log
// tells it once.
func TestMarksOutliveAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger, log := &ingresstest.Ledger{MarkErr: ingresstest.ErrUnavailable}, &ingresstest.Log{}
		fill(ledger, 300)
		m := newMarkBuffer(ledger, log.Logger())
		m.start()
		for i := range 300 {
			m.add(int64(i + 1))
		}
		<-time.After(time.Minute) // of the bubble
		require.Zero(t, ledger.Started())
		require.Equal(t, 1, strings.Count(log.String(), `"inbox.mark"`))
		ledger.Set(func(l *ingresstest.Ledger) { l.MarkErr = nil })
		ingresstest.Eventually(t, func() bool { return ledger.Started() == 300 }, "they are written")
		m.stop()
		require.Equal(t, 1, strings.Count(log.String(), `"inbox.mark_again"`))
	})
}

func TestMarksAreBounded(t *testing.T) {
	t.Parallel()
	ledger, log := &ingresstest.Ledger{}, &ingresstest.Log{}
	fill(ledger, 200)
	m := newMarkBuffer(ledger, log.Logger())
	m.add(1)
	for range marksMost {
		m.add(2)
	}
	require.Equal(t, marksMost, m.size())
	m.start()
	m.stop()
	require.False(t, ledger.Rows[0].Started, "the oldest is given up")
	require.True(t, ledger.Rows[1].Started)
	require.Contains(t, log.String(), "inbox.marks_given_up")
}
