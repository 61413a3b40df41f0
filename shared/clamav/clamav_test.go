package clamav_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"mailroom/shared/clamav"
	"mailroom/shared/fault"
	"mailroom/shared/mail"
	"mailroom/shared/scantest"
	"mailroom/shared/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestClamdConforms runs against a real clamd.
func TestClamdConforms(t *testing.T) {
	t.Parallel()
	c, err := clamav.New(clamav.Config{Address: testenv.Clamd(t)})
	require.NoError(t, err)
	scantest.Run(t, c)
	t.Run("above the stream limit", func(t *testing.T) {
		t.Parallel()
		// clamd closes the connection halfway; its limit is 100 MiB unless configured.
		verdict, signature, err := c.Scan(t.Context(), io.LimitReader(zeros{}, 200<<20))
		require.NoError(t, err)
		require.Equal(t, mail.Unscannable, verdict)
		require.NotEmpty(t, signature)
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// fake is a clamd whose connections are served by script.
func fake(t *testing.T, script func(conn net.Conn)) string {
	t.Helper()
	return listen(t, "tcp", "127.0.0.1:0", script)
}

func listen(t *testing.T, network, address string, script func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen(network, address)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				script(conn)
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func client(t *testing.T, cfg clamav.Config) *clamav.Client {
	t.Helper()
	c, err := clamav.New(cfg)
	require.NoError(t, err)
	return c
}

// receive reads one INSTREAM and checks its format.
func receive(conn net.Conn) ([]byte, error) {
	command := make([]byte, len("zINSTREAM\x00"))
	if _, err := io.ReadFull(conn, command); err != nil || string(command) != "zINSTREAM\x00" {
		return nil, errors.Join(errors.New("no command"), err)
	}
	var all []byte
	for {
		var n uint32
		if err := binary.Read(conn, binary.BigEndian, &n); err != nil {
			return all, err
		}
		if n == 0 {
			return all, nil
		}
		if n > 64<<10 {
			return all, errors.New("chunk too long")
		}
		chunk := make([]byte, n)
		if _, err := io.ReadFull(conn, chunk); err != nil {
			return all, err
		}
		all = append(all, chunk...)
	}
}

func TestScanClassifiesAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for _, tc := range []struct {
		answer    string
		verdict   mail.Verdict // empty: not scanned
		signature string
	}{
		{"stream: OK\x00", mail.Clean, ""},
		{"stream: Eicar-Signature FOUND\x00", mail.Infected, "Eicar-Signature"},
		{"stream: Test.UNOFFICIAL FOUND\x00", mail.Infected, "Test.UNOFFICIAL"},
		{"stream: Odd\r\n\x1b[31mName FOUND\x00", mail.Infected, "Odd[31mName"},
		{"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\x00", mail.Unscannable, "Heuristics.Limits.Exceeded.MaxFileSize"},
		{"stream: Heuristics.Limits.Exceeded FOUND\x00", mail.Unscannable, "Heuristics.Limits.Exceeded"},
		{"stream: Heuristics.Encrypted.Zip FOUND\x00", mail.Unscannable, "Heuristics.Encrypted.Zip"},
		{"INSTREAM size limit exceeded. ERROR\x00", mail.Unscannable, "larger than the scanner accepts"},
		{"stream: size limit exceeded ERROR\x00", mail.Unscannable, "larger than the scanner accepts"},

		{"stream: Can't allocate memory ERROR\x00", "", ""},
		{"stream: OK", "", ""}, // cut short
		{"stream: OK FOUND?\x00", "", ""},
		{"stream: FOUND\x00", "", ""},
		{"stream:  FOUND\x00", "", ""},
		{"stream: ok\x00", "", ""},
		{"stream: OK \x00", "", ""},
		{"OK\x00", "", ""},
		{"UNKNOWN COMMAND\x00", "", ""},
		{"\x00", "", ""},
		{"", "", ""},
		{"stream: " + long + " FOUND\x00", "", ""},
		{long, "", ""},
	} {
		t.Run(tc.answer[:min(len(tc.answer), 40)], func(t *testing.T) {
			t.Parallel()
			c := client(t, clamav.Config{Address: fake(t, func(conn net.Conn) {
				if got, err := receive(conn); err == nil && string(got) == "mail" {
					_, _ = io.WriteString(conn, tc.answer)
				}
			})})
			verdict, signature, err := c.Scan(t.Context(), strings.NewReader("mail"))
			require.Equal(t, tc.verdict, verdict)
			require.Equal(t, tc.signature, signature)
			if tc.verdict != "" {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.Is(err, fault.ScannerUnavailable), "%v", err)
			require.True(t, fault.From(err).Temporary)
		})
	}
}

func TestScanSendsEverythingInChunks(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20} {
		content := bytes.Repeat([]byte("mail"), size/4+1)[:size]
		got := make(chan []byte, 1)
		c := client(t, clamav.Config{Address: fake(t, func(conn net.Conn) {
			all, _ := receive(conn)
			got <- all
			_, _ = io.WriteString(conn, "stream: OK\x00")
		})})
		// A reader that returns little at a time makes no difference.
		verdict, _, err := c.Scan(t.Context(), iotest.HalfReader(bytes.NewReader(content)))
		require.NoError(t, err)
		require.Equal(t, mail.Clean, verdict)
		require.True(t, bytes.Equal(content, <-got), size)
	}
}

// TestScanReadsTheAnswerBehindAFailedWrite: clamd answers and closes the connection
// while content is still being written.
func TestScanReadsTheAnswerBehindAFailedWrite(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]mail.Verdict{
		"INSTREAM size limit exceeded. ERROR\x00": mail.Unscannable,
		"stream: Eicar FOUND\x00":                 mail.Infected,
		"stream: OK\x00":                          "", // not of the whole
	} {
		c := client(t, clamav.Config{Address: fake(t, func(conn net.Conn) {
			_, _ = io.ReadFull(conn, make([]byte, 1000))
			_, _ = io.WriteString(conn, answer)
		})})
		for range 20 {
			verdict, _, err := c.Scan(t.Context(), io.LimitReader(zeros{}, 64<<20))
			require.Equal(t, want, verdict, "%s %v", answer, err)
			require.Equal(t, want == "", fault.Is(err, fault.ScannerUnavailable), "%v", err)
		}
	}
}

func TestScanWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for name, script := range map[string]func(net.Conn){
		"drops at once":       func(net.Conn) {},
		"drops in the middle": func(conn net.Conn) { _, _ = io.ReadFull(conn, make([]byte, 100)) },
		"drops at the end":    func(conn net.Conn) { _, _ = receive(conn) },
		"never reads":         func(net.Conn) { <-hang },
		"never answers":       func(conn net.Conn) { _, _ = receive(conn); <-hang },
		"answers in part":     func(conn net.Conn) { _, _ = receive(conn); _, _ = io.WriteString(conn, "stream: OK"); <-hang },
		"goes on forever": func(conn net.Conn) {
			_, _ = receive(conn)
			_, _ = io.Copy(conn, io.LimitReader(strings.NewReader(strings.Repeat("x", 1<<20)), 1<<20))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, clamav.Config{Address: fake(t, script), Timeout: 300 * time.Millisecond})
			verdict, _, err := c.Scan(t.Context(), io.LimitReader(zeros{}, 32<<20))
			require.True(t, fault.Is(err, fault.ScannerUnavailable), "%v", err)
			require.Empty(t, verdict)
		})
	}
	t.Run("is not there", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		c := client(t, clamav.Config{Address: l.Addr().String()})
		_, _, err = c.Scan(t.Context(), strings.NewReader("mail"))
		require.True(t, fault.Is(err, fault.ScannerUnavailable), "%v", err)
		require.True(t, fault.Is(c.Ready(t.Context()), fault.ScannerUnavailable))
	})
}

// TestScanNeverEndsABrokenStream: after a read error the stream must not be ended, or
// clamd would judge a part.
func TestScanNeverEndsABrokenStream(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	c := client(t, clamav.Config{Address: fake(t, func(conn net.Conn) {
		_, err := receive(conn)
		ended <- err
		_, _ = io.WriteString(conn, "stream: OK\x00")
	})})
	broken := errors.New("broken")
	verdict, _, err := c.Scan(t.Context(), io.MultiReader(strings.NewReader("mail"), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
	require.False(t, fault.Is(err, fault.ScannerUnavailable))
	require.Empty(t, verdict)
	require.Error(t, <-ended)
}

func TestScanStopsWithItsContext(t *testing.T) {
	t.Parallel()
	started, hang := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(hang) })
	c := client(t, clamav.Config{Address: fake(t, func(conn net.Conn) {
		_, _ = receive(conn)
		close(started)
		<-hang
	})})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	_, _, err := c.Scan(ctx, strings.NewReader("mail"))
	require.ErrorIs(t, err, context.Canceled)
}

func TestScanBoundsParallelScans(t *testing.T) {
	t.Parallel()
	const parallel, scans = 3, 12
	var now, most atomic.Int32
	arrived, proceed := make(chan struct{}, scans), make(chan struct{})
	c := client(t, clamav.Config{Parallel: parallel, Address: fake(t, func(conn net.Conn) {
		_, _ = receive(conn)
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		arrived <- struct{}{}
		<-proceed
		now.Add(-1)
		_, _ = io.WriteString(conn, "stream: OK\x00")
	})})
	results := make(chan error, scans)
	for range scans {
		go func() {
			_, _, err := c.Scan(t.Context(), strings.NewReader("mail"))
			results <- err
		}()
	}
	for range parallel {
		<-arrived
	}
	// Every place is taken: one more scan waits until its deadline.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := c.Scan(ctx, strings.NewReader("mail"))
	require.True(t, fault.Is(err, fault.ScannerUnavailable), "%v", err)
	close(proceed)
	for range scans {
		require.NoError(t, <-results)
	}
	require.LessOrEqual(t, most.Load(), int32(parallel))
}

func TestUnixSocketAndCommands(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	listen(t, "unix", path, func(conn net.Conn) {
		buf := make([]byte, 64)
		n, _ := conn.Read(buf)
		switch string(buf[:n]) {
		case "zPING\x00":
			_, _ = io.WriteString(conn, "PONG\x00")
		case "zVERSION\x00":
			_, _ = io.WriteString(conn, "ClamAV 1.4.6/27000\n\x00")
		}
	})
	c := client(t, clamav.Config{Address: path})
	require.NoError(t, c.Ready(t.Context()))
	version, err := c.Version(t.Context())
	require.NoError(t, err)
	require.Equal(t, "ClamAV 1.4.6/27000", version)
}

func TestReadyWantsPong(t *testing.T) {
	t.Parallel()
	c := client(t, clamav.Config{Address: fake(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 64))
		_, _ = io.WriteString(conn, "NO\x00")
	})})
	require.True(t, fault.Is(c.Ready(t.Context()), fault.ScannerUnavailable))
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, cfg := range []clamav.Config{
		{}, {Address: "localhost"}, {Address: "a:b:c"},
		{Address: "127.0.0.1:3310", Timeout: -1}, {Address: "127.0.0.1:3310", Parallel: -1},
	} {
		_, err := clamav.New(cfg)
		require.Error(t, err, "%+v", cfg)
	}
}
