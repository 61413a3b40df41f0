package program

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"
)

// A handover goes over a Unix socket that only the owner may open. The process that runs
// sends the addresses of its sockets as one line of JSON, and the sockets themselves beside
// it. The one that starts answers with one byte once it serves on them; then the first
// one stops accepting, finishes what it has begun, and ends. If the connection ends before,
// nothing has changed.
const (
	maxHandover     = 16 << 10 // bytes of the line, and of the sockets beside it
	handoverTimeout = 10 * time.Second
)

// Predecessor is the process whose sockets were taken.
type Predecessor struct{ conn *net.UnixConn }

// TakeOver adds the sockets of the process that offers them at path. It returns nil where
// no process does. The caller calls Replace or Close.
func (s *Sockets) TakeOver(ctx context.Context, path string) (*Predecessor, error) {
	conn, err := (&net.Dialer{Timeout: handoverTimeout}).DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil //nolint:nilnil // the first process of its kind
	}
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}

	p := &Predecessor{conn.(*net.UnixConn)} //nolint:forcetypeassert // the network is unix
	if err := s.receive(p.conn); err != nil {
		return nil, errors.Join(fmt.Errorf("take over: %w", err), p.Close())
	}
	return p, nil
}

// receive reads addresses and sockets.
func (s *Sockets) receive(conn *net.UnixConn) error {
	if err := conn.SetReadDeadline(time.Now().Add(handoverTimeout)); err != nil {
		return err //nolint:wrapcheck // the caller says what was done
	}
	line, rights := make([]byte, maxHandover), make([]byte, maxHandover)
	n, m, _, _, err := conn.ReadMsgUnix(line, rights)
	if err != nil {
		return err //nolint:wrapcheck // the caller says what was done
	}

	var files []*os.File
	messages, err := syscall.ParseSocketControlMessage(rights[:m])
	for _, message := range messages {
		fds, failed := syscall.ParseUnixRights(&message)
		err = errors.Join(err, failed)
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "socket"))
		}
	}
	var addresses []string
	if err := errors.Join(err, json.Unmarshal(line[:n], &addresses)); err != nil {
		return err
	}
	if len(addresses) != len(files) {
		return fmt.Errorf("%d sockets for %d addresses", len(files), len(addresses))
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	for i, address := range addresses {
		s.open[address] = files[i]
	}
	return nil
}

// Replace tells the predecessor to stop, and returns when it has stopped accepting.
func (p *Predecessor) Replace() error {
	if p == nil {
		return nil
	}
	err := p.conn.SetDeadline(time.Now().Add(handoverTimeout))
	if err == nil {
		_, err = p.conn.Write([]byte{'\n'})
	}
	if err == nil {
		_, err = io.Copy(io.Discard, p.conn) // until it closes the connection
	}
	if err != nil {
		return errors.Join(fmt.Errorf("replace the process before: %w", err), p.Close())
	}
	return p.Close()
}

// Close ends a handover; before Replace the predecessor goes on.
func (p *Predecessor) Close() error {
	if p == nil {
		return nil
	}
	return p.conn.Close() //nolint:wrapcheck // names the socket
}

// Offer hands the sockets to each process that connects to path until ctx is done. replaced is called
// when one of them serves.
func (s *Sockets) Offer(ctx context.Context, path string, replaced func(), logger *slog.Logger) error {
	ln, err := listenPrivately(ctx, path)
	if err != nil {
		return fmt.Errorf("offer the sockets at %s: %w", path, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })

	go func() {
		defer stop()
		for {
			conn, err := ln.AcceptUnix()
			if err != nil {
				return // closed
			}
			if s.handOver(ctx, conn, logger) {
				replaced()
			}
			_ = conn.Close()
		}
	}()
	return nil
}

// listenPrivately listens on a Unix socket for the owner alone, which replaces that of a
// process before in one step.
func listenPrivately(ctx context.Context, path string) (*net.UnixListener, error) {
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err //nolint:wrapcheck // the caller says what was done
	}
	opened, err := (&net.ListenConfig{}).Listen(ctx, "unix", temporary)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says what was done
	}
	ln := opened.(*net.UnixListener) //nolint:forcetypeassert // the network is unix
	ln.SetUnlinkOnClose(false)       // by then the path may be another process's
	if err := errors.Join(os.Chmod(temporary, 0o600), os.Rename(temporary, path)); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// handOver sends the sockets to one process and reports whether it serves on them.
func (s *Sockets) handOver(ctx context.Context, conn *net.UnixConn, logger *slog.Logger) bool {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := s.send(conn); err != nil {
		logger.Warn("handover.failed", "error", err)
		return false
	}
	_, err := bufio.NewReader(conn).ReadByte()
	if err != nil {
		logger.Info("handover.abandoned")
		return false
	}
	logger.Info("handover.done")
	return true
}

func (s *Sockets) send(conn *net.UnixConn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addresses []string
	var fds []int
	for address, file := range s.open {
		raw, err := file.SyscallConn()
		if err != nil {
			return fmt.Errorf("send the socket of %s: %w", address, err)
		}
		if err := raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
			return fmt.Errorf("send the socket of %s: %w", address, err)
		}
		addresses = append(addresses, address)
	}

	line, err := json.Marshal(addresses)
	if err != nil {
		return fmt.Errorf("send sockets: %w", err)
	}
	if _, _, err := conn.WriteMsgUnix(line, syscall.UnixRights(fds...), nil); err != nil {
		return fmt.Errorf("send sockets: %w", err)
	}
	return nil
}
