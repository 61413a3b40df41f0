package webhook

import (
	"context"
	"net"
	"sync"
)

// pipes is a listener without a network, so that an ingress in a synctest bubble has a
// clock on which nothing but waiting takes time.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	close  func()
}

func newPipes() *pipes {
	p := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

// local is the address of both ends.
var local = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}

// pipe is one end of a connection.
type pipe struct{ net.Conn }

func (pipe) LocalAddr() net.Addr  { return local }
func (pipe) RemoteAddr() net.Addr { return local }

func (p *pipes) Addr() net.Addr { return local }

func (p *pipes) Close() error {
	p.close()
	return nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accept:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// dial has the signature of http.Transport.DialContext.
func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.accept <- pipe{far}:
		return pipe{near}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
