package guard

import (
	"net"
	"sync/atomic"
)

// How many connections all public listeners keep open together, and how many of one
// known address and of one stranger. An idle one over TLS costs about 40 KiB.
const (
	MaxConnections = 2048
	MaxPerAddress  = 512
	MaxPerStranger = 128
)

// LimitedListener bounds how many of its connections are open, all together and per
// address (IPv6 by /64), so that connections which send nothing cannot use up
// descriptors and memory. One too many is closed at once, with a reset.
type LimitedListener struct {
	net.Listener

	crowd   *Crowd
	refused atomic.Uint64
}

// LimitListener bounds ln by the crowd's share of Connections. Closing the result
// closes ln and leaves connections open.
func LimitListener(ln net.Listener, crowd *Crowd) *LimitedListener {
	return &LimitedListener{Listener: ln, crowd: crowd}
}

// Refused is how many connections were closed because there were too many.
func (l *LimitedListener) Refused() uint64 { return l.refused.Load() }

// Accept returns the next connection that is within the bounds.
func (l *LimitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // http.Server looks at it
		}
		visit, ok := l.crowd.connect(hostOf(conn.RemoteAddr().String()), func() { reset(conn) })
		if ok {
			return &limitedConn{Conn: conn, visit: visit}, nil
		}
		l.refused.Add(1)
		reset(conn)
	}
}

// reset closes conn without TIME_WAIT. It does not wait.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn

	visit *Visit
}

// Read counts what is read, because an idle connection gives way to others first.
func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.visit.Moved(n)
	return n, err //nolint:wrapcheck // a connection gives the errors of its own
}

// Close closes the connection; the second time it says what net.Conn says.
func (c *limitedConn) Close() error {
	defer c.visit.Leave()
	return c.Conn.Close() //nolint:wrapcheck // a connection gives the errors of its own
}

// CloseWrite lets http.Server end an answer before it cuts off a sender who is
// still writing; without it the answer would be lost.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
