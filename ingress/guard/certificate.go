package guard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"mailroom/shared/config"
)

const (
	// settleFor is how long the files must stay unchanged before they are read again,
	// because certificate and key are two files.
	settleFor  = 500 * time.Millisecond
	pollEvery  = time.Minute // how often they are read without any event
	maxPEMFile = 1 << 20     // bytes of one file
)

// Certificate is a TLS certificate on disk that is reloaded when its files change.
// The certificate in use stays in use until the files hold another valid one. It is
// safe for concurrent use; Close stops the watcher.
type Certificate struct {
	files  config.TLS
	logger *slog.Logger
	now    func() time.Time
	settle time.Duration
	poll   time.Duration

	current atomic.Pointer[loadedPair]
	failing atomic.Bool
	logged  string // the last failure logged; owned by the watching goroutine

	stop    context.CancelFunc
	running sync.WaitGroup
}

// loadedPair is a certificate with its key, and the SHA-256 of both files.
type loadedPair struct {
	pair tls.Certificate
	sum  [sha256.Size]byte
}

// OpenCertificate loads the certificate and key that c names and watches both files.
// It returns an error that names the file if one is missing or larger than 1 MiB, if
// the key does not match, or if the certificate has expired or is not valid yet. The
// caller must call Close.
func OpenCertificate(c config.TLS, logger *slog.Logger) (*Certificate, error) {
	return openCertificate(&Certificate{files: c, logger: logger, now: time.Now, settle: settleFor, poll: pollEvery})
}

// CheckCertificate returns an error if OpenCertificate would not open these files.
func CheckCertificate(c config.TLS) error {
	_, err := (&Certificate{files: c, now: time.Now}).load()
	return err
}

// openCertificate is OpenCertificate for a Certificate with its times set.
func openCertificate(c *Certificate) (*Certificate, error) {
	loaded, err := c.load()
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	c.current.Store(loaded)

	// Folders are watched, because a renewal replaces the file instead of writing to it.
	// If the system cannot watch them, the poll remains.
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		for _, folder := range []string{filepath.Dir(c.files.Certificate), filepath.Dir(c.files.Key)} {
			err = errors.Join(err, watcher.Add(folder))
		}
	}
	if err != nil {
		c.logger.Warn("ingress.certificate_watch", slog.Any("error", err))
	}

	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.running.Go(func() { c.watch(ctx, watcher) })
	return c, nil
}

// Close stops the watcher and waits for it. The certificate stays usable. Close
// returns nil.
func (c *Certificate) Close() error {
	c.stop()
	c.running.Wait()
	return nil
}

// Config returns a configuration that presents the certificate in use at the time of
// each handshake. It accepts TLS 1.2 and later and offers HTTP/2 and HTTP/1.1.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &c.current.Load().pair, nil
		},
	}
}

// NotAfter returns when the certificate in use expires.
func (c *Certificate) NotAfter() time.Time { return c.current.Load().pair.Leaf.NotAfter }

// Failing reports whether the files cannot be used at present, so that an older
// certificate is served.
func (c *Certificate) Failing() bool { return c.failing.Load() }

// Names reports whether the certificate in use is valid for host, which is a DNS name
// or an IP address without brackets.
func (c *Certificate) Names(host string) bool {
	return c.current.Load().pair.Leaf.VerifyHostname(host) == nil
}

// watch reloads the files when their folders have changed, and every c.poll, until ctx
// ends. A nil watcher leaves the poll.
func (c *Certificate) watch(ctx context.Context, watcher *fsnotify.Watcher) {
	var events chan fsnotify.Event
	var failures chan error
	if watcher != nil {
		defer func() { _ = watcher.Close() }() // nothing is lost with it
		events, failures = watcher.Events, watcher.Errors
	}

	poll := time.NewTicker(c.poll)
	defer poll.Stop()

	settled := time.NewTimer(c.settle)
	settled.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			settled.Reset(c.settle)
		case err := <-failures: // events may be missing
			c.logger.Warn("ingress.certificate_watch", slog.Any("error", err))
			settled.Reset(c.settle)
		case <-settled.C:
			c.reload()
		case <-poll.C:
			c.reload()
		}
	}
}

// reload replaces the certificate in use by the one on disk, if that can be used. A
// failure is logged once, and again when its text changes.
func (c *Certificate) reload() {
	loaded, err := c.load()
	if err != nil {
		c.failing.Store(true)
		if text := err.Error(); text != c.logged {
			c.logged = text
			c.logger.Error("ingress.certificate_unusable", slog.Any("error", err), slog.Time("serving_until", c.NotAfter()))
		}
		return
	}

	c.logged = ""
	if c.failing.Swap(false) || loaded.sum != c.current.Load().sum {
		c.current.Store(loaded)
		c.logger.Info("ingress.certificate_loaded", slog.Time("not_after", c.NotAfter()))
	}
}

// load reads both files and checks that the key matches and the certificate is valid
// now.
func (c *Certificate) load() (*loadedPair, error) {
	chain, err := readPEM(c.files.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := readPEM(c.files.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}

	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.files.Certificate, c.files.Key, err)
	}

	now := c.now()
	switch leaf := pair.Leaf; {
	case now.After(leaf.NotAfter):
		return nil, fmt.Errorf("certificate %s expired on %s; renew it", c.files.Certificate, leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return nil, fmt.Errorf("certificate %s is not valid before %s", c.files.Certificate, leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return &loadedPair{pair: pair, sum: sha256.Sum256(bytes.Join([][]byte{chain, key}, []byte{0}))}, nil
}

// readPEM reads a file of at most maxPEMFile bytes.
func readPEM(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("open: %w", err) // names the path
	}
	defer func() { _ = file.Close() }() // it was read only

	text, err := io.ReadAll(io.LimitReader(file, maxPEMFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > maxPEMFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxPEMFile)
	}
	return text, nil
}
