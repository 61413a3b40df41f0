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

// How the files are watched: a change is looked at once it has settled, because
// certificate and key are two files; and they are looked at now and then whatever
// the file system tells.
const (
	settleFor  = 500 * time.Millisecond
	pollEvery  = time.Minute
	maxPEMFile = 1 << 20
)

// Certificate is a certificate on disk that is read again when it changes. Close
// ends the watching.
type Certificate struct {
	files  config.TLS
	logger *slog.Logger
	now    func() time.Time
	settle time.Duration
	poll   time.Duration

	current atomic.Pointer[loadedPair]
	failing atomic.Bool
	told    string // the failure that was logged last; of the watching goroutine

	stop    context.CancelFunc
	running sync.WaitGroup
}

// loadedPair is a certificate with its key and the text it was read from.
type loadedPair struct {
	pair tls.Certificate
	sum  [sha256.Size]byte
}

// OpenCertificate loads the pair of c and watches its files. A file that is
// missing, a key that does not fit and a certificate whose time is over or has not
// come are errors that name the file.
func OpenCertificate(c config.TLS, logger *slog.Logger) (*Certificate, error) {
	return openCertificate(&Certificate{files: c, logger: logger, now: time.Now, settle: settleFor, poll: pollEvery})
}

func openCertificate(c *Certificate) (*Certificate, error) {
	loaded, err := c.load()
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	c.current.Store(loaded)
	// Folders, because whoever renews a certificate puts a new file in the place of
	// the old one. Where the system cannot watch, the poll is left.
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

// Close ends the watching. The certificate stays usable.
func (c *Certificate) Close() error {
	c.stop()
	c.running.Wait()
	return nil
}

// Config serves the certificate as it is at each handshake: TLS 1.2 and later,
// HTTP/2 and HTTP/1.1.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &c.current.Load().pair, nil
		},
	}
}

// NotAfter is when the certificate in use ends.
func (c *Certificate) NotAfter() time.Time { return c.current.Load().pair.Leaf.NotAfter }

// Failing reports whether the files hold something that cannot be used, so that an
// older certificate is served.
func (c *Certificate) Failing() bool { return c.failing.Load() }

// Names reports whether the certificate in use is for host, a name or an address
// without brackets.
func (c *Certificate) Names(host string) bool {
	return c.current.Load().pair.Leaf.VerifyHostname(host) == nil
}

// watch looks at the files when their folders change, and every c.poll.
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

// reload takes over what the files hold. What cannot be used is told once, and
// again when it has become something else that cannot be used.
func (c *Certificate) reload() {
	loaded, err := c.load()
	if err != nil {
		c.failing.Store(true)
		if text := err.Error(); text != c.told {
			c.told = text
			c.logger.Error("ingress.certificate_unusable", slog.Any("error", err), slog.Time("serving_until", c.NotAfter()))
		}
		return
	}
	c.told = ""
	if c.failing.Swap(false) || loaded.sum != c.current.Load().sum {
		c.current.Store(loaded)
		c.logger.Info("ingress.certificate_loaded", slog.Time("not_after", c.NotAfter()))
	}
}

// load reads both files and sees that they can be used now.
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
		return nil, fmt.Errorf("certificate %s ended on %s", c.files.Certificate, leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return nil, fmt.Errorf("certificate %s begins on %s", c.files.Certificate, leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return &loadedPair{pair: pair, sum: sha256.Sum256(bytes.Join([][]byte{chain, key}, []byte{0}))}, nil
}

// readPEM reads a file that is no larger than a chain can be.
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
