package clamav_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/clamav"
	"mailroom/shared/fault"
	"mailroom/shared/mail"
	"mailroom/shared/scantest"
	"mailroom/shared/testenv"
)

// clamdLike is a fake clamd that answers VERSION and INSTREAM.
type clamdLike struct {
	mu      sync.Mutex
	version string
	eicar   string // what it says of the test file
	nested  string // what it says of an archive in archives
	down    bool

	probes, scans atomic.Int32
}

func newClamdLike() *clamdLike {
	return &clamdLike{
		version: "ClamAV 1.0.7/27500/Tue Nov 24 09:26:15 2026",
		eicar:   "Eicar-Signature FOUND", nested: "Heuristics.Limits.Exceeded.MaxRecursion FOUND",
	}
}

func (c *clamdLike) set(change func(c *clamdLike)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *clamdLike) serve(conn net.Conn) {
	c.mu.Lock()
	version, eicar, nested, down := c.version, c.eicar, c.nested, c.down
	c.mu.Unlock()
	if down {
		return
	}
	peeked := make([]byte, len("zVERSION\x00"))
	if _, err := io.ReadFull(conn, peeked); err != nil {
		return
	}
	if string(peeked) == "zVERSION\x00" {
		_, _ = io.WriteString(conn, version+"\x00")
		return
	}
	content, err := receive(rewound{conn, io.MultiReader(bytes.NewReader(peeked), conn)})
	if err != nil {
		return
	}
	said := "OK"
	switch {
	case bytes.Equal(content, scantest.EICAR()):
		c.probes.Add(1)
		said = eicar
	case bytes.HasPrefix(content, []byte("\x1f\x8b")):
		said = nested
	default:
		c.scans.Add(1)
	}
	_, _ = io.WriteString(conn, "stream: "+said+"\x00")
}

// rewound is a connection whose first bytes are read again.
type rewound struct {
	net.Conn
	r io.Reader
}

func (r rewound) Read(p []byte) (int, error) { return r.r.Read(p) }

// guarded returns a guard of c and the time that its clock shows.
func guarded(t *testing.T, c *clamdLike, maxAge time.Duration) (*clamav.Guard, *atomic.Int64) {
	t.Helper()
	var clock atomic.Int64
	clock.Store(time.Date(2026, 11, 25, 9, 26, 15, 0, time.UTC).Unix())
	g := clamav.NewGuard(client(t, clamav.Config{Address: fake(t, c.serve), Timeout: 10 * time.Second}),
		clamav.GuardConfig{MaxSignatureAge: maxAge, Logger: slog.New(slog.DiscardHandler)})
	g.SetNow(func() time.Time { return time.Unix(clock.Load(), 0) })
	return g, &clock
}

const week = 7 * 24 * time.Hour

func TestMailWaitsForAScannerThatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(c *clamdLike)
		maxAge time.Duration
		says   string // empty: it can
	}{
		"all is well":               {func(*clamdLike) {}, week, ""},
		"signatures of 8 days":      {func(c *clamdLike) { c.version = "ClamAV 1.0.7/27500/Tue Nov 17 09:00:00 2026" }, week, "are 192h0m0s old"},
		"signatures of 6 days":      {func(c *clamdLike) { c.version = "ClamAV 1.0.7/27500/Thu Nov 19 10:00:00 2026" }, week, ""},
		"no daily database":         {func(c *clamdLike) { c.version = "ClamAV 1.0.7" }, week, "is not known"},
		"a date that is none":       {func(c *clamdLike) { c.version = "ClamAV 1.0.7/27500/yesterday" }, week, "is not known"},
		"a date ahead":              {func(c *clamdLike) { c.version = "ClamAV 1.0.7/27500/Tue Nov 24 09:26:15 2037" }, week, "is not known"},
		"no clamd":                  {func(c *clamdLike) { c.version = "nginx/1/Tue Nov 24 09:26:15 2026" }, week, "is not known"},
		"age off":                   {func(c *clamdLike) { c.version = "ClamAV 1.0.7" }, 0, ""},
		"finds nothing":             {func(c *clamdLike) { c.eicar = "OK" }, 0, "does not find the EICAR test file"},
		"limits are passed":         {func(c *clamdLike) { c.nested = "OK" }, 0, "set AlertExceedsMax"},
		"calls everything infected": {func(c *clamdLike) { c.nested = "Eicar-Signature FOUND" }, 0, "set AlertExceedsMax"},
		"down":                      {func(c *clamdLike) { c.down = true }, week, "the email waits for it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClamdLike()
			tc.change(c)
			g, _ := guarded(t, c, tc.maxAge)
			verdict, _, err := g.Scan(t.Context(), strings.NewReader("mail"))
			if tc.says == "" {
				require.NoError(t, err)
				require.Equal(t, mail.Clean, verdict)
				return
			}
			require.Empty(t, verdict)
			require.True(t, fault.Is(err, fault.ScannerUnavailable), "%v", err)
			require.True(t, fault.From(err).Temporary)
			require.Contains(t, fault.From(err).Public, tc.says)
			require.Zero(t, c.scans.Load(), "no mail was sent")
		})
	}
}

// TestTheScannerIsCheckedHourly: a check is valid for an hour, a failed one for seconds.
func TestTheScannerIsCheckedHourly(t *testing.T) {
	t.Parallel()
	c := newClamdLike()
	g, clock := guarded(t, c, week)
	var all sync.WaitGroup
	for range 20 { // concurrent emails share the first check
		all.Go(func() {
			if _, _, err := g.Scan(t.Context(), strings.NewReader("mail")); err != nil {
				t.Errorf("scan: %v", err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, c.probes.Load())
	require.EqualValues(t, 20, c.scans.Load())

	c.set(func(c *clamdLike) { c.nested = "OK" })
	clock.Add(3599)
	require.NoError(t, g.Trusted(t.Context()))
	clock.Add(1)
	require.ErrorContains(t, g.Trusted(t.Context()), "AlertExceedsMax")
	require.EqualValues(t, 2, c.probes.Load())
	require.Error(t, g.Trusted(t.Context()))
	require.EqualValues(t, 2, c.probes.Load(), "it is not asked by each email")

	c.set(func(c *clamdLike) { c.nested = "Heuristics.Limits.Exceeded FOUND" })
	clock.Add(2)
	require.NoError(t, g.Trusted(t.Context()))
	clock.Add(int64(week/time.Second) + 1)
	require.ErrorContains(t, g.Trusted(t.Context()), "old")
}

// TestARestartedScannerIsCheckedAgain: a clamd that was unavailable may have been
// restarted with another configuration.
func TestARestartedScannerIsCheckedAgain(t *testing.T) {
	t.Parallel()
	c := newClamdLike()
	g, clock := guarded(t, c, week)
	_, _, err := g.Scan(t.Context(), strings.NewReader("mail"))
	require.NoError(t, err)
	c.set(func(c *clamdLike) { c.down = true })
	_, _, err = g.Scan(t.Context(), strings.NewReader("mail"))
	require.True(t, fault.Is(err, fault.ScannerUnavailable), "%v", err)

	c.set(func(c *clamdLike) { c.down, c.nested = false, "OK" })
	_, _, err = g.Scan(t.Context(), strings.NewReader("mail"))
	require.ErrorContains(t, err, "AlertExceedsMax")
	require.EqualValues(t, 1, c.scans.Load())

	c.set(func(c *clamdLike) { c.nested = "Heuristics.Limits.Exceeded FOUND" })
	clock.Add(2)
	require.NoError(t, g.Trusted(t.Context()))
	c.set(func(c *clamdLike) { c.down = true })
	require.Error(t, g.Ready(t.Context()))
	require.Error(t, g.Trusted(t.Context()), "the sign of life was missing")
}

func TestWatchChecksWithoutMail(t *testing.T) {
	t.Parallel()
	c := newClamdLike()
	g, _ := guarded(t, c, week)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); g.Watch(ctx) }()
	require.Eventually(t, func() bool { return c.probes.Load() == 1 }, 30*time.Second, time.Millisecond)
	cancel()
	<-ended
	require.NoError(t, g.Trusted(t.Context()))
}

// TestGuardOfARealClamd: the clamd of the tests has a database of its own, whose age
// is unknown.
func TestGuardOfARealClamd(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	g := clamav.NewGuard(client(t, clamav.Config{Address: testenv.Clamd(t)}), clamav.GuardConfig{Logger: logger})
	require.Equal(t, "ok, signature age not checked (scanner.max_signature_age: off)", g.Note())
	scantest.Run(t, g)
	strict := clamav.NewGuard(client(t, clamav.Config{Address: testenv.Clamd(t)}), clamav.GuardConfig{Logger: logger, MaxSignatureAge: week})
	_, _, err := strict.Scan(t.Context(), strings.NewReader("mail"))
	require.True(t, fault.Is(err, fault.ScannerUnavailable), "%v", err)
	require.True(t, fault.Is(strict.Ready(t.Context()), fault.ScannerUnavailable))
	require.Empty(t, strict.Note())
}
