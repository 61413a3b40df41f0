package guard

import (
	"net"
	"sync/atomic"
)

// Bounds on open connections. An idle one over TLS uses about 40 KiB.
const (
	MaxConnections = 2048 // of all public listeners together
	MaxPerAddress  = 512  // of one known address
	MaxPerStranger = 128  // of one stranger
)

// LimitedListener bounds its open connections, in total and per address (IPv6: per
// /64), so that idle connections cannot use up descriptors and memory. A connection
// beyond a bound is closed at once, with a TCP reset.
type LimitedListener struct {
	net.Listener

	crowd   *Crowd
	refused atomic.Uint64
}

// LimitListener returns ln bounded by the crowd's pool Connections. Closing the result
// closes ln and leaves its connections open.
func LimitListener(ln net.Listener, crowd *Crowd) *LimitedListener {
	return &LimitedListener{Listener: ln, crowd: crowd}
}

// Refused returns how many connections were closed because they exceeded a bound.
func (l *LimitedListener) Refused() uint64 { return l.refused.Load() }

// Accept returns the next connection within the bounds, or the error of the underlying
// listener.
func (l *LimitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // http.Server checks its type
		}
		visit, ok := l.crowd.connect(hostOf(conn.RemoteAddr().String()), func() { reset(conn) })
		if ok {
			return &limitedConn{Conn: conn, visit: visit}, nil
		}
		l.refused.Add(1)
		reset(conn)
	}
}

// reset closes conn without TIME_WAIT. It does not block.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// limitedConn is a connection that releases its place when it is closed.
type limitedConn struct {
	net.Conn

	visit *Visit
}

// Read reads from the connection and counts the bytes, because idle connections are
// displaced first.
func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.visit.AddReceived(n)
	return n, err //nolint:wrapcheck // net.Conn errors pass unchanged
}

// Close closes the connection and releases its place. A second call returns the error
// of net.Conn.
func (c *limitedConn) Close() error {
	defer c.visit.Leave()
	return c.Conn.Close() //nolint:wrapcheck // net.Conn errors pass unchanged
}

// CloseWrite closes the writing side. http.Server uses it to finish an answer before it
// cuts off a sender that is still writing; without it the answer would be lost.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
