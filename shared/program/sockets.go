package program

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
)

// Sockets are the listening sockets of a process, by the address that was asked for. They
// stay open while one run of its roles follows another, and can be handed to another
// process (Offer, TakeOver), so that no connection is refused meanwhile: all listeners of a
// socket share one queue. Safe for concurrent use.
type Sockets struct {
	mu     sync.Mutex
	open   map[string]*os.File
	closed bool
}

// Listening is what one run of the roles listens on. It implements Listener.
type Listening struct {
	from  *Sockets
	mu    sync.Mutex
	taken map[string]bool
}

// Listener opens addresses of TCP.
type Listener interface {
	Listen(ctx context.Context, address string) (net.Listener, error)
}

// NewSockets has none yet.
func NewSockets() *Sockets { return &Sockets{open: map[string]*os.File{}} }

// Run returns the listeners of one run.
func (s *Sockets) Run() *Listening { return &Listening{from: s, taken: map[string]bool{}} }

// Listen returns a listener on address: on the socket that is open already, else on a new
// one. Twice the same address in one run is an error, as it is without a socket. The
// caller closes the listener; the socket stays open until Retain or Close.
func (l *Listening) Listen(ctx context.Context, address string) (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken[address] {
		return nil, fmt.Errorf("%s: address already in use, by this process itself", address)
	}
	ln, err := l.from.listen(ctx, address)
	if err != nil {
		return nil, err
	}
	if _, port, _ := net.SplitHostPort(address); port != "0" { // each call has a port of its own
		l.taken[address] = true
	}
	return ln, nil
}

func (s *Sockets) listen(ctx context.Context, address string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the process is ending")
	}
	if file := s.open[address]; file != nil {
		ln, err := net.FileListener(file) // of a duplicate
		if err != nil {
			return nil, fmt.Errorf("listen on the open socket of %s: %w", address, err)
		}
		return ln, nil
	}

	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says for what it listens
	}
	if _, port, _ := net.SplitHostPort(address); port == "0" {
		return ln, nil
	}
	file, err := ln.(*net.TCPListener).File() //nolint:forcetypeassert // the network is tcp
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keep the socket of %s: %w", address, err), ln.Close())
	}
	s.open[address] = file
	return ln, nil
}

// Retain closes the sockets on which a run does not listen.
func (s *Sockets) Retain(l *Listening) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, file := range s.open {
		if !l.taken[address] {
			_ = file.Close()
			delete(s.open, address)
		}
	}
}

// Close closes every socket, for good. Once the listeners are closed too, connections are
// refused.
func (s *Sockets) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for address, file := range s.open {
		_ = file.Close()
		delete(s.open, address)
	}
}

// ownSockets opens sockets that end with their listener.
type ownSockets struct{}

// Listen implements Listener.
func (ownSockets) Listen(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address) //nolint:wrapcheck // the caller says for what it listens
}
