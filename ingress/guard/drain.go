package guard

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// drainGrace is how long connections may still bring a request after the listeners were
// closed. Only while some are open does a shutdown take that long.
const drainGrace = 500 * time.Millisecond

// Drainer shuts a server down without cutting off clients that have connected already.
// http.Server.Shutdown closes, without an answer, a connection whose request it has not read
// yet, and one that was idle for a moment.
type Drainer struct {
	server   *http.Server
	grace    time.Duration
	draining atomic.Bool

	accepting sync.WaitGroup // Serve calls

	mu        sync.Mutex
	listeners []net.Listener
	open      map[net.Conn]bool
	empty     chan struct{} // where not nil: closed when open is empty
}

// NewDrainer prepares a server, whose handler is set and which does not serve yet.
func NewDrainer(server *http.Server) *Drainer {
	d := &Drainer{server: server, grace: drainGrace, open: map[net.Conn]bool{}}
	server.ConnState = d.trackConn
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.draining.Load() {
			w.Header().Set("Connection", "close") // the client knows that its next request needs another
		}
		next.ServeHTTP(w, r)
	})
	return d
}

// Serve serves ln, with TLS where secure, as the server does, until Shutdown or a failure.
func (d *Drainer) Serve(ln net.Listener, secure bool) error {
	d.mu.Lock()
	if d.draining.Load() {
		d.mu.Unlock()
		_ = ln.Close()
		return http.ErrServerClosed
	}
	d.listeners = append(d.listeners, ln)
	d.accepting.Add(1)
	d.mu.Unlock()

	defer d.accepting.Done()
	if secure {
		return d.server.ServeTLS(ln, "", "") //nolint:wrapcheck // as the server's own
	}
	return d.server.Serve(ln) //nolint:wrapcheck // as the server's own
}

// trackConn keeps the open connections.
func (d *Drainer) trackConn(conn net.Conn, state http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if state != http.StateClosed && state != http.StateHijacked {
		d.open[conn] = true
		return
	}
	delete(d.open, conn)
	if len(d.open) == 0 && d.empty != nil {
		close(d.empty)
		d.empty = nil
	}
}

// Shutdown closes the listeners, answers what is connected, and then shuts the server down
// as http.Server.Shutdown does.
func (d *Drainer) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	d.draining.Store(true)
	for _, ln := range d.listeners {
		_ = ln.Close()
	}
	d.mu.Unlock()
	d.accepting.Wait() // then every connection that was accepted has been noted

	d.mu.Lock()
	empty := make(chan struct{})
	if len(d.open) == 0 {
		close(empty)
	} else {
		d.empty = empty
	}
	d.mu.Unlock()

	grace := time.NewTimer(d.grace)
	defer grace.Stop()
	select {
	case <-empty:
	case <-grace.C:
	case <-ctx.Done():
	}
	return d.server.Shutdown(ctx) //nolint:wrapcheck // as the server's own
}
