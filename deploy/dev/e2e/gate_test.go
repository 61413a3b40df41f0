package e2e_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
)

// mode is what a gate does to the connections through it, also to those that are
// open already.
type mode string

const (
	pass   mode = "pass"
	refuse mode = "refuse" // every connection is closed
	// hang holds back what comes, either way. It arrives when the gate passes again,
	// though the sender may have given up long ago.
	hang mode = "hang"
	slow mode = "slow" // each chunk takes slowChunk
	// drop cuts each connection after dropAfter bytes of replies: what was asked
	// last is done, and the client is not told.
	drop mode = "drop"
)

const (
	slowChunk = 150 * time.Millisecond
	dropAfter = 2 << 10
)

// gate is a TCP proxy in front of one service.
type gate struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	mode    mode
	trap    *trap
	changed chan struct{} // closed by the next change
	pairs   map[*pair]bool
	pumps   sync.WaitGroup
}

// pair is one connection and its continuation behind the gate.
type pair struct {
	in, out net.Conn
	gone    chan struct{}
	muted   atomic.Bool // replies are held back until it is cut
	once    sync.Once
	pumps   sync.WaitGroup
	replied int // bytes; used by the pump of the replies alone
}

// cut resets both sides, as when a host is gone.
func (p *pair) cut() {
	p.once.Do(func() {
		close(p.gone)
		for _, c := range []net.Conn{p.in, p.out} {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := &gate{listener: l, target: target, mode: pass, changed: make(chan struct{}), pairs: map[*pair]bool{}}
	t.Cleanup(func() {
		_ = l.Close()
		g.set(refuse)
		g.pumps.Wait()
	})
	g.pumps.Go(g.serve)
	return g
}

func (g *gate) addr() string { return g.listener.Addr().String() }

// set changes the mode; to refuse ends the connections that there are.
func (g *gate) set(m mode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mode = m
	close(g.changed)
	g.changed = make(chan struct{})
	if m == refuse {
		for p := range g.pairs {
			p.cut()
		}
	}
}

// trap waits for one request.
type trap struct {
	marker  []byte
	through bool
	caught  chan *pair // holds one
}

// catch waits for the first request whose bytes contain marker. If it goes through, the
// replies on its connection are held back from then on, else it is held back itself;
// both until the connection is cut. The programs notice nothing: a test that kills one then
// knows how far it has come.
func (g *gate) catch(marker string, through bool) *trap {
	t := &trap{marker: []byte(marker), through: through, caught: make(chan *pair, 1)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trap = t
	return t
}

// holds reports whether a request is what the trap waits for, and is not to go through.
func (g *gate) holds(p *pair, request []byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.trap
	if t == nil || !bytes.Contains(request, t.marker) {
		return false
	}
	g.trap = nil
	p.muted.Store(t.through)
	t.caught <- p
	return !t.through
}

func (g *gate) state() (mode, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mode, g.changed
}

func (g *gate) serve() {
	for {
		in, err := g.listener.Accept()
		if err != nil {
			return
		}
		if m, _ := g.state(); m == refuse {
			_ = in.Close()
			continue
		}
		out, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp", g.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		p := &pair{in: in, out: out, gone: make(chan struct{})}
		g.mu.Lock()
		g.pairs[p] = true
		if g.mode == refuse {
			p.cut()
		}
		g.mu.Unlock()
		g.pumps.Go(func() { g.copyBoth(p) })
	}
}

// copyBoth copies both directions until both have ended.
func (g *gate) copyBoth(p *pair) {
	p.pumps.Go(func() { g.pump(p, p.out, p.in, false) })
	p.pumps.Go(func() { g.pump(p, p.in, p.out, true) })
	p.pumps.Wait()
	_ = p.in.Close()
	_ = p.out.Close()
	g.mu.Lock()
	delete(g.pairs, p)
	g.mu.Unlock()
}

// pump copies one direction until its end, which it passes on.
func (g *gate) pump(p *pair, to, from net.Conn, replies bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !g.admit(p, n, replies) {
				p.cut()
				return
			}
			if held := !replies && g.holds(p, buf[:n]) || replies && p.muted.Load(); held {
				<-p.gone
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				p.cut()
				return
			}
		}
		if err != nil {
			if !g.admit(p, 0, replies) {
				p.cut()
				return
			}
			if tcp, ok := to.(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
			return
		}
	}
}

// admit waits until n bytes may pass; it is false where they never will.
func (g *gate) admit(p *pair, n int, replies bool) bool {
	for {
		m, changed := g.state()
		var wait <-chan time.Time
		switch m {
		case refuse:
			return false
		case drop:
			if !replies {
				return true
			}
			p.replied += n
			return p.replied <= dropAfter
		case slow:
			wait = time.After(slowChunk)
		case hang:
		default:
			return true
		}
		select {
		case <-wait:
			return true
		case <-changed:
		case <-p.gone:
			return false
		}
	}
}

// gates stand before the services on which accepting depends.
type gates struct{ postgres, minio, temporal *gate }

// newGatedWorld starts a Mailroom whose programs reach those services through gates.
func newGatedWorld(t *testing.T, edit func(*settings)) (*world, gates) {
	t.Helper()
	var g gates
	w := newWorldOn(t, edit, func(i *stack.Infra) {
		i.DatabaseURL, g.postgres = gateURL(t, i.DatabaseURL)
		i.S3Endpoint, g.minio = gateURL(t, i.S3Endpoint)
		g.temporal = newGate(t, i.Temporal)
		i.Temporal = g.temporal.addr()
	})
	t.Cleanup(g.open) // so that the programs can end in order
	return w, g
}

func (g gates) open() {
	for _, one := range []*gate{g.postgres, g.minio, g.temporal} {
		one.set(pass)
	}
}

// gateURL puts a gate before the host of a URL.
func gateURL(t *testing.T, text string) (string, *gate) {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	g := newGate(t, u.Host)
	u.Host = g.addr()
	return u.String(), g
}
