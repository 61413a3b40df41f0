package guard

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// How many connections a public listener keeps open where nothing else is said. An
// idle one over TLS costs about 40 KiB.
const (
	MaxConnections = 2048
	MaxPerAddress  = 512
)

// LimitedListener bounds how many of its connections are open, all together and
// per address (IPv6 by /64), so that connections which send nothing cannot use up
// descriptors and memory. One too many is closed at once, with a reset.
type LimitedListener struct {
	net.Listener

	most       int
	perAddress int
	proxies    *Proxies
	refused    atomic.Uint64

	mu   sync.Mutex
	open int
	of   tally // open connections of addresses that are bounded
}

// LimitListener bounds ln. Loopback and proxies are bounded by most alone. Closing
// the result closes ln and leaves connections open.
func LimitListener(ln net.Listener, most, perAddress int, proxies *Proxies) (*LimitedListener, error) {
	if most <= 0 || perAddress <= 0 {
		return nil, fmt.Errorf("limit listener: %d connections, %d per address: both must be positive", most, perAddress)
	}
	if proxies == nil {
		proxies = &Proxies{}
	}
	return &LimitedListener{Listener: ln, most: most, perAddress: perAddress, proxies: proxies, of: tally{}}, nil
}

// Open is how many connections are open.
func (l *LimitedListener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Refused is how many connections were closed because there were too many.
func (l *LimitedListener) Refused() uint64 { return l.refused.Load() }

// Accept gives the next connection that is within the bounds.
func (l *LimitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // http.Server looks at it
		}
		key, counted := l.key(conn)
		if l.take(key, counted) {
			return &limitedConn{Conn: conn, release: sync.OnceFunc(func() { l.give(key, counted) })}, nil
		}
		l.refused.Add(1)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // no TIME_WAIT for who floods
		}
		_ = conn.Close()
	}
}

// key says under which address a connection counts, if it counts under one.
func (l *LimitedListener) key(conn net.Conn) (addressKey, bool) {
	addr := hostOf(conn.RemoteAddr().String())
	if l.proxies.exempt(addr) {
		return addressKey{}, false
	}
	return keyOf(addr), true
}

func (l *LimitedListener) take(key addressKey, counted bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.most || (counted && !l.of.take(key, l.perAddress)) {
		return false
	}
	l.open++
	return true
}

func (l *LimitedListener) give(key addressKey, counted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if counted {
		l.of.give(key)
	}
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn

	release func()
}

// Close closes the connection; the second time it says what net.Conn says.
func (c *limitedConn) Close() error {
	defer c.release()
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
