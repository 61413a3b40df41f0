package guard

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestShutdownDroppedWhoHadConnected: a connection whose request was not read yet was
// closed without an answer.
func TestShutdownDroppedWhoHadConnected(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := NewDrainer(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "answered")
	})})
	d.grace = time.Minute // the shutdown ends when both connections have
	served := make(chan error, 1)
	go func() { served <- d.Serve(ln, false) }()

	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	reader := bufio.NewReader(conn)
	ask := func() *http.Response {
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		answer, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.Equal(t, "answered", string(text))
		return answer
	}
	require.False(t, ask().Close, "it stays open")

	// It is idle now. A second one is new and sends its request after the shutdown began.
	fresh, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	defer fresh.Close()
	ended := make(chan error, 1)
	go func() { ended <- d.Shutdown(context.Background()) }()
	require.Error(t, <-served)
	require.True(t, ask().Close, "the client knows that this was the last one")
	_, err = io.WriteString(fresh, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(fresh), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.NoError(t, answer.Body.Close())

	require.NoError(t, <-ended)
	_, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", ln.Addr().String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorIs(t, d.Serve(ln, false), http.ErrServerClosed)
}

// TestIdleConnectionsEndAfterTheGrace: a client that says nothing does not keep a server.
func TestIdleConnectionsEndAfterTheGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := NewDrainer(&http.Server{Handler: http.NotFoundHandler()})
		here, there := net.Pipe()
		pipe := &onePipe{conn: there, closed: make(chan struct{})}
		go func() { _ = d.Serve(pipe, false) }()
		_, err := io.WriteString(here, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(here), nil)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.NoError(t, d.Shutdown(t.Context()))
		_, err = here.Read(make([]byte, 1))
		require.Error(t, err)
	})
}

// onePipe accepts one connection.
type onePipe struct {
	conn   net.Conn
	once   sync.Once
	end    sync.Once
	closed chan struct{}
}

func (p *onePipe) Accept() (net.Conn, error) {
	var conn net.Conn
	p.once.Do(func() { conn = p.conn })
	if conn != nil {
		return conn, nil
	}
	<-p.closed
	return nil, net.ErrClosed
}

func (p *onePipe) Close() error {
	p.end.Do(func() { close(p.closed) })
	return nil
}

func (p *onePipe) Addr() net.Addr { return p.conn.LocalAddr() }
