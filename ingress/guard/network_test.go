package guard

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// guardedServer is a server behind the bounds of this package, as the ingress builds it.
type guardedServer struct {
	address string
	secure  bool
	limited *LimitedListener
	running atomic.Int64 // handlers
	most    atomic.Int64
	gate    chan struct{} // when set, handlers of /wait wait for it
}

// startServer starts a server that waits for slow senders longer than any test runs.
func startServer(t testing.TB, secure bool, most, perAddress int) *guardedServer {
	t.Helper()
	return startServerCutting(t, secure, most, perAddress, 2*patience)
}

// connections returns a Crowd with a stopped clock that permits most connections,
// perAddress of them to one address.
func connections(t testing.TB, most, perAddress int64, proxies *Proxies) *Crowd {
	t.Helper()
	crowd, err := NewCrowd(NewKnown(), proxies, map[Pool]Share{
		Connections: {Size: most, Strangers: most, Stranger: perAddress, Known: perAddress},
	}, func() time.Time { return start })
	require.NoError(t, err)
	return crowd
}

func open(c *Crowd) int64 {
	all, _ := c.Held(Connections)
	return all
}

// startServerCutting starts a server that closes a connection on which a request takes longer than slow.
func startServerCutting(t testing.TB, secure bool, most, perAddress int, slow time.Duration) *guardedServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &guardedServer{address: ln.Addr().String(), secure: secure, gate: make(chan struct{})}
	d.limited = LimitListener(ln, connections(t, int64(most), int64(perAddress), &Proxies{}))
	server := &http.Server{
		Handler: http.HandlerFunc(d.serve), HTTP2: HTTP2(),
		ReadHeaderTimeout: slow / 2, ReadTimeout: slow,
		WriteTimeout: patience, IdleTimeout: patience, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}

	var done sync.WaitGroup
	done.Go(func() {
		if !secure {
			_ = server.Serve(d.limited)
			return
		}
		files := filesIn(t.TempDir())
		validPair(t, "one.example").write(t, files)
		server.TLSConfig = openPair(t, files, &logText{}, time.Hour).Config()
		_ = server.ServeTLS(d.limited, "", "")
	})

	t.Cleanup(func() { server.Close(); d.limited.Close(); done.Wait() })
	return d
}

func (d *guardedServer) serve(w http.ResponseWriter, r *http.Request) {
	n := d.running.Add(1)
	defer d.running.Add(-1)
	for seen := d.most.Load(); n > seen && !d.most.CompareAndSwap(seen, n); seen = d.most.Load() {
	}
	if r.URL.Path == "/wait" {
		select {
		case <-d.gate:
		case <-r.Context().Done():
		}
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	fmt.Fprint(w, r.Proto)
}

func (d *guardedServer) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", d.address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// requireServed sends one good request on a connection of its own.
func (d *guardedServer) requireServed(t testing.TB) {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: &protocols}
	defer transport.CloseIdleConnections()
	scheme, proto := "http://", "HTTP/1.1"
	if d.secure {
		scheme, proto = "https://", "HTTP/2.0"
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+d.address+"/", bytes.NewReader(make([]byte, 300<<10)))
	require.NoError(t, err)
	answer, err := (&http.Client{Transport: transport}).Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, proto, string(text))
}

func closedByPeer(t testing.TB, conn net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, conn)
	var late net.Error
	require.False(t, errors.As(err, &late) && late.Timeout(), "the connection stays open")
}

// requireRefused dials once more than there are places. On a slow machine the reset
// arrives before the dial returns.
func (d *guardedServer) requireRefused(t testing.TB) {
	t.Helper()
	conn, err := net.Dial("tcp", d.address)
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	closedByPeer(t, conn)
}

// slow is how long a request may take in tests of slow senders. A good request must
// finish within it on a busy machine.
const slow = 2 * time.Second

func TestSlowHeadersAndBodies(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"silence":       "",
		"half a header": "POST / HTTP/1.1\r\nHost: a\r\nX-",
		"half a body":   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
		"half a chunk":  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startServerCutting(t, false, 300, 1, slow)
			var conns []net.Conn
			for range 200 {
				conn := d.dial(t)
				_, err := io.WriteString(conn, text)
				require.NoError(t, err)
				conns = append(conns, conn)
			}

			d.requireServed(t)
			for _, conn := range conns {
				closedByPeer(t, conn)
			}
			require.Eventually(t, func() bool { return open(d.limited.crowd) == 0 }, patience, time.Millisecond, "every place is released")
		})
	}
}

// TestSilentHandshakes checks that a client without a TLS ClientHello is cut off as well.
func TestSilentHandshakes(t *testing.T) {
	t.Parallel()
	d := startServerCutting(t, true, 300, 1, slow)
	silent, plainText, half := d.dial(t), d.dial(t), d.dial(t)
	_, err := io.WriteString(plainText, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	_, err = half.Write([]byte{22, 3, 1, 2, 0, 1})
	require.NoError(t, err)
	d.requireServed(t)
	for _, conn := range []net.Conn{silent, plainText, half} {
		closedByPeer(t, conn)
	}
}

func TestHeaderFlood(t *testing.T) {
	t.Parallel()
	d := startServer(t, false, 100, 100)
	answer := ask(t, d.address, "POST / HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("X-A: "+strings.Repeat("b", 1000)+"\r\n", 60)+"\r\n")
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode)
	d.requireServed(t)
	require.Equal(t, int64(1), d.most.Load(), "no handler saw it")
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	d := startServer(t, false, 5, 1) // loopback is bounded by the total alone
	var held []net.Conn
	for range 5 {
		held = append(held, d.dial(t))
	}
	require.Eventually(t, func() bool { return open(d.limited.crowd) == 5 }, patience, time.Millisecond)
	for range 20 {
		d.requireRefused(t)
	}
	require.Equal(t, uint64(20), d.limited.Refused())
	held[0].Close()
	require.Eventually(t, func() bool { return open(d.limited.crowd) < 5 }, patience, time.Millisecond)
	d.requireServed(t)
}

// elsewhere is a listener whose connections seem to come from the addresses in from.
type elsewhere struct {
	net.Listener

	from chan string
}

type movedConn struct {
	net.Conn

	from net.Addr
}

func (c movedConn) RemoteAddr() net.Addr { return c.from }

func (l elsewhere) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return movedConn{Conn: conn, from: &net.TCPAddr{IP: net.ParseIP(<-l.from), Port: 1}}, nil
}

func TestConnectionsAreBoundedPerAddress(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	from := make(chan string, 1)
	crowd := connections(t, 100, 2, openProxies(t, "10.0.0.0/8"))
	limited := LimitListener(elsewhere{ln, from}, crowd)
	t.Cleanup(func() { limited.Close() })
	accepted := make(chan net.Conn, 100)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := limited.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	})

	connect := func(address string) {
		conn, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		from <- address
	}

	requireAccepted := func(address string) net.Conn {
		connect(address)
		select {
		case conn := <-accepted:
			t.Cleanup(func() { conn.Close() })
			return conn
		case <-time.After(patience):
			t.Fatalf("%s was not accepted", address)
			return nil
		}
	}

	requireRefused := func(address string) {
		before := limited.Refused()
		connect(address)
		require.Eventually(t, func() bool { return limited.Refused() == before+1 }, patience, time.Millisecond, address)
	}

	first := requireAccepted("203.0.113.9")
	requireAccepted("::ffff:203.0.113.9")
	requireRefused("203.0.113.9")
	requireAccepted("203.0.113.10")
	requireAccepted("2001:db8:1:2::1")
	requireAccepted("2001:db8:1:2::2")
	requireRefused("2001:db8:1:2::3")
	requireAccepted("2001:db8:1:3::1")
	for range 5 {
		requireAccepted("10.0.0.1")
		requireAccepted("127.0.0.1")
	}

	first.Close()
	first.Close() // the second call releases nothing
	requireAccepted("203.0.113.9")
	requireRefused("203.0.113.9")
	require.Equal(t, int64(16), open(crowd))
	limited.Close()
	done.Wait()
}
