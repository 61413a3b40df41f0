package downstream

import (
	"bufio"
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/netguard"
)

// listen serves every connection with handle, which may be nil, until the test ends.
func listen(t *testing.T, handle func(net.Conn)) (address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended); _ = l.Close() })

	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if handle == nil {
					<-ended
					return
				}
				_, _ = http.ReadRequest(bufio.NewReader(conn))
				handle(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// closedPort returns an address on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// fullQueue returns an address whose queue of connections is full, so that the kernel
// drops further ones.
func fullQueue(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }))
	require.NoError(t, err)

	for range 16 {
		conn, err := (&net.Dialer{Timeout: 200 * time.Millisecond}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			return l.Addr().String()
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the kernel accepts connections beyond the queue")
	return ""
}

// resolveAt lets a destination look names up at a DNS server that answers every query
// with a code; a negative code means that it never answers.
func resolveAt(t *testing.T, d *testDestination, code int) {
	t.Helper()
	server, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			if code < 0 || n < 12 {
				continue
			}
			buf[2] |= 0x80             // an answer
			buf[3] = 0x80 | byte(code) // recursion available, and the code (RFC 1035 §4.1.1)
			buf[10], buf[11] = 0, 0    // no additional records
			question := 12 + strings.IndexByte(string(buf[12:n]), 0) + 5
			_, _ = server.WriteTo(buf[:question], from)
		}
	}()

	dialer := netguard.Dialer(true)
	dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	d.destinations["to"].transport.DialContext = dialer.DialContext
}

// TestConnectionFailed: every failure was "the connection to the destination failed".
func TestConnectionFailed(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(answer(200))
	secure.StartTLS()
	t.Cleanup(secure.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(secure.Certificate())
	_, port, err := net.SplitHostPort(secure.Listener.Addr().String())
	require.NoError(t, err)
	trust := func(_ *testing.T, d *testDestination) {
		d.destinations["to"].transport.TLSClientConfig.RootCAs = trusted
	}

	for name, c := range map[string]struct {
		url   string
		want  fault.Cause
		adapt func(*testing.T, *testDestination)
	}{
		"a closed port":               {url: "http://" + closedPort(t), want: fault.ConnectionRefused},
		"a full queue":                {url: "http://" + fullQueue(t), want: fault.ConnectTimeout},
		"a name that does not exist":  {"http://nowhere.example", fault.DNSNotFound, func(t *testing.T, d *testDestination) { t.Helper(); resolveAt(t, d, 3) }},
		"a DNS server that fails":     {"http://nowhere.example", fault.DNSFailed, func(t *testing.T, d *testDestination) { t.Helper(); resolveAt(t, d, 2) }},
		"a DNS server that is silent": {"http://nowhere.example", fault.DNSFailed, func(t *testing.T, d *testDestination) { t.Helper(); resolveAt(t, d, -1) }},
		"an unknown CA":               {url: secure.URL, want: fault.TLSUntrusted},
		"a certificate for another":   {"https://localhost:" + port, fault.TLSNameMismatch, trust},
		"an expired certificate": {secure.URL, fault.TLSExpired, func(t *testing.T, d *testDestination) {
			t.Helper()
			trust(t, d)
			d.destinations["to"].transport.TLSClientConfig.Time = func() time.Time { return time.Now().AddDate(100, 0, 0) }
		}},
		"no TLS at all":    {url: "https://" + listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 no\r\n\r\n") }), want: fault.TLSFailed},
		"a silent TLS end": {url: "https://" + listen(t, nil), want: fault.TLSTimeout},
		"never an answer":  {url: "http://" + listen(t, nil), want: fault.AnswerTimeout},
		"a reset":          {url: "http://" + listen(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }), want: fault.ConnectionReset},
		"a close":          {url: "http://" + listen(t, func(net.Conn) {}), want: fault.ConnectionClosed},
		"no HTTP":          {url: "http://" + listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example ESMTP\r\n\r\n") }), want: fault.AnswerInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := setup(t, answer(200), func(to *config.Destination, _ *Config) { to.URL, to.Timeout = c.url, 2*time.Second })
			if c.adapt != nil {
				c.adapt(t, d)
			}
			status, called, err := d.try(t.Context())
			require.True(t, called)
			require.Zero(t, status)
			f := fault.From(err)
			require.Equal(t, fault.DownstreamUnavailable, f.Code, "%v", err)
			require.Equal(t, c.want, f.Cause, "%v", err)
			require.Equal(t, c.want.Sentence(), f.Public, "no name, no address, nothing that the other side wrote")
			require.Equal(t, f.Public, d.Status()[0].LastFailure)
		})
	}
}

// TestForbiddenAddressIsNoCall: it read "no answer after 0 ms".
func TestForbiddenAddressIsNoCall(t *testing.T) {
	t.Parallel()
	d := setup(t, answer(200), func(to *config.Destination, _ *Config) { to.AllowPrivate = false })
	_, _, err := d.try(t.Context())
	f := fault.From(err)
	require.Equal(t, fault.AddressForbidden, f.Cause)
	require.False(t, f.Cause.Called())
	require.True(t, strings.HasPrefix(f.Public, "no call was made: "), f.Public)
}

// TestUnknownEffectSaysWhatHappened: the cause of a broken attempt was in the log alone.
func TestUnknownEffectSaysWhatHappened(t *testing.T) {
	t.Parallel()
	d := setup(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		reset(w)
	}, withoutKey)
	_, _, err := d.try(t.Context())
	f := fault.From(err)
	require.Equal(t, fault.AmbiguousEffect, f.Code)
	require.Equal(t, fault.ConnectionReset, f.Cause)
	require.Contains(t, f.Public, fault.ConnectionReset.Sentence())

	d = setup(t, answer(504), withoutKey)
	_, _, err = d.try(t.Context())
	require.Contains(t, fault.From(err).Public, "answered 504")
}

func TestOpenBreakerSaysWhyNoCallIsMade(t *testing.T) {
	t.Parallel()
	d := setup(t, answer(503), func(to *config.Destination, _ *Config) { to.Breaker.Failures = 1 })
	_, _, err := d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamUnavailable))
	_, called, err := d.try(t.Context())
	require.False(t, called)
	require.Equal(t, "no call was made, because the last ones failed: the destination answered 503", fault.From(err).Public)
}

// TestCutShort: a call that Mailroom ends says so, whatever its error is.
func TestCutShort(t *testing.T) {
	t.Parallel()
	err := tryCancelled(t)
	require.Equal(t, fault.CutShort, fault.From(err).Cause)
}
