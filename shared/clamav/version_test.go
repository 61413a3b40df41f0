package clamav_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/clamav"
	"mailroom/shared/testenv"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string][2]string{
		"ClamAV 1.0.7/27500/Tue Nov 24 09:26:15 2026": {"ClamAV 1.0.7", "27500 of 2026-11-24 09:26:15"},
		"ClamAV 1.0.7/27500/Tue Nov  3 09:26:15 2026": {"ClamAV 1.0.7", "27500 of 2026-11-03 09:26:15"},
		"ClamAV 1.4.6/27000":                          {"ClamAV 1.4.6", "27000"},
		"ClamAV 1.0.7":                                {"ClamAV 1.0.7", ""},
		"ClamAV 1.0.7/27500/yesterday":                {"ClamAV 1.0.7", "27500 of yesterday"},
		"ClamAV 1.0.7/none/Tue Nov 24 09:26:15 2026":  {"ClamAV 1.0.7", ""},
		"ClamAV 1.0.7//":                              {"ClamAV 1.0.7", ""},
	} {
		scanner, database, ok := clamav.ParseVersion(answer)
		require.True(t, ok, answer)
		require.Equal(t, want, [2]string{scanner, database}, answer)
	}
	for _, answer := range []string{"", "UNKNOWN COMMAND", "/27500", "ClamAV", "PONG", "Clam 1/2/3"} {
		_, _, ok := clamav.ParseVersion(answer)
		require.False(t, ok, answer)
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("ClamAV 1.0.7/27500/Tue Nov 24 09:26:15 2026")
	f.Add("ClamAV 1.0.7")
	f.Add("/")
	f.Fuzz(func(t *testing.T, answer string) {
		scanner, database, ok := clamav.ParseVersion(answer)
		if !ok {
			require.Empty(t, scanner+database)
			return
		}
		require.True(t, strings.HasPrefix(scanner, "ClamAV "))
		require.NotContains(t, scanner, "/")
		require.LessOrEqual(t, len(scanner)+len(database), len(answer)+len(" of ")+len("2006-01-02 15:04:05"))
	})
}

func TestUsingARealClamd(t *testing.T) {
	t.Parallel()
	scanner, _ := client(t, clamav.Config{Address: testenv.Clamd(t)}).Using(t.Context())
	require.Regexp(t, `^ClamAV \d+\.\d+`, scanner)
}

// talker is a fake clamd with a given answer to VERSION.
type talker struct {
	mu     sync.Mutex
	answer string
	asked  atomic.Int32
}

func (a *talker) say(answer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

func (a *talker) serve(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 64))
	a.mu.Lock()
	answer := a.answer
	a.mu.Unlock()
	a.asked.Add(1)
	_, _ = io.WriteString(conn, answer)
}

func TestUsingAsksOnceAMinute(t *testing.T) {
	t.Parallel()
	clamd := &talker{answer: "ClamAV 1.0.7/1\x00"}
	c := client(t, clamav.Config{Address: fake(t, clamd.serve)})
	var clock atomic.Int64
	c.SetNow(func() time.Time { return time.Unix(clock.Load(), 0) })
	clock.Store(1000)
	using := func() string {
		scanner, database := c.Using(t.Context())
		return scanner + " " + database
	}
	var all sync.WaitGroup
	for range 20 { // concurrent emails wait for one answer
		all.Go(func() {
			if got := using(); got != "ClamAV 1.0.7 1" {
				t.Errorf("got %q", got)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, clamd.asked.Load())

	clamd.say("ClamAV 1.0.7/2\x00")
	clock.Store(1059)
	require.Equal(t, "ClamAV 1.0.7 1", using())
	require.EqualValues(t, 1, clamd.asked.Load())
	clock.Store(1060)
	require.Eventually(t, func() bool { return using() == "ClamAV 1.0.7 2" }, 30*time.Second, time.Millisecond,
		"the answer to this is not waited for, and comes")

	// A malformed answer keeps the last one.
	for _, bad := range []string{"", "what?\x00", "ClamAV", strings.Repeat("x", 5000)} {
		clamd.say(bad)
		before := clamd.asked.Load()
		require.Eventually(t, func() bool {
			clock.Add(60)
			return using() == "ClamAV 1.0.7 2" && clamd.asked.Load() > before+1 // the previous answer has been handled
		}, 30*time.Second, time.Millisecond)
	}
}

func TestUsingWithoutAScanner(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	t.Cleanup(func() { close(hung) })
	var asked atomic.Int32
	c := client(t, clamav.Config{Address: fake(t, func(net.Conn) { asked.Add(1); <-hung })})
	scanner, database := c.Using(t.Context()) // a second, not the two minutes of a scan
	require.Empty(t, scanner+database)
	c.Using(t.Context())
	require.EqualValues(t, 1, asked.Load(), "the next one does not wait again")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c = client(t, clamav.Config{Address: fake(t, func(net.Conn) { <-hung })})
	scanner, _ = c.Using(ctx)
	require.Empty(t, scanner)
}
