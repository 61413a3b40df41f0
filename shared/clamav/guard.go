package clamav

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

// How long the outcome of a check is valid, and how long one may take.
const (
	checkFor     = time.Hour
	recheckAfter = 2 * time.Second // after a check that failed
	checkTimeout = 30 * time.Second
)

// GuardConfig has the conditions under which the verdicts of a clamd are used.
type GuardConfig struct {
	// MaxSignatureAge is the highest age of its signatures; zero allows any age, also
	// an unknown one.
	MaxSignatureAge time.Duration
	Logger          *slog.Logger
}

// Guard is a Client that scans only while clamd can be trusted: its signatures are
// recent enough, it finds the EICAR test file, and it reports an archive that is nested
// too deeply for it instead of passing it. Guard checks this before the first scan,
// every hour, and after clamd was unavailable. Until a check succeeds every scan fails
// with fault.ScannerUnavailable, so that mail waits. It is safe for concurrent use.
type Guard struct {
	client *Client
	maxAge time.Duration
	logger *slog.Logger
	now    func() time.Time

	mu       sync.Mutex
	checking chan struct{} // closed when the check under way ends; nil: none
	known    bool          // failure is the outcome of a check that is valid until
	until    time.Time
	failure  error // nil: clamd is trusted
	logged   bool  // the outcome is in the log
}

// NewGuard returns a guard of client. It does not call clamd.
func NewGuard(client *Client, cfg GuardConfig) *Guard {
	return &Guard{client: client, maxAge: cfg.MaxSignatureAge, logger: cfg.Logger, now: client.now}
}

// Note names what is not checked of a working scanner; empty if everything is.
func (g *Guard) Note() string {
	if g.maxAge == 0 {
		return "ok, signature age not checked (scanner.max_signature_age: off)"
	}
	return ""
}

// Scan is Client.Scan while clamd is trusted.
func (g *Guard) Scan(ctx context.Context, r io.Reader) (mail.Verdict, string, error) {
	if err := g.Trusted(ctx); err != nil {
		return "", "", err
	}
	verdict, signature, err := g.client.Scan(ctx, r)
	if restarted(err) {
		g.doubt()
	}
	return verdict, signature, err
}

// restarted reports whether err may come from a clamd that was stopped. A timeout
// does not.
func restarted(err error) bool {
	return fault.Is(err, fault.ScannerUnavailable) && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, errNoPlace)
}

// Using is Client.Using.
func (g *Guard) Using(ctx context.Context) (scanner, database string) { return g.client.Using(ctx) }

// Version is Client.Version.
func (g *Guard) Version(ctx context.Context) (string, error) { return g.client.Version(ctx) }

// Ready pings clamd and returns an error also while it cannot be trusted.
func (g *Guard) Ready(ctx context.Context) error {
	if err := g.client.Ready(ctx); err != nil {
		g.doubt()
		return err
	}
	return g.Trusted(ctx)
}

// Watch checks clamd at once and whenever the last check expires, until ctx is done,
// so that mail does not wait for a check.
func (g *Guard) Watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait := checkFor
		if g.Trusted(ctx) != nil {
			wait = recheckAfter
		}
		timer.Reset(wait)
	}
}

// Trusted returns why clamd cannot be trusted, or nil if it can, by the last check or
// a new one if that has expired. Concurrent callers share one check.
func (g *Guard) Trusted(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.known && g.now().Before(g.until) {
			defer g.mu.Unlock()
			return g.failure
		}
		done := g.checking
		if done == nil {
			done = make(chan struct{})
			g.checking = done
			go g.renew(context.WithoutCancel(ctx), done)
		}
		g.mu.Unlock()

		select {
		case <-done:
		case <-ctx.Done():
			return failed(ctx, errors.New("clamd was not checked before the deadline"))
		}
	}
}

// renew makes one check and stores its outcome.
func (g *Guard) renew(ctx context.Context, done chan<- struct{}) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	failure := g.check(ctx)

	g.mu.Lock()
	defer g.mu.Unlock()
	g.logChange(failure)
	g.known, g.failure, g.until = true, failure, g.now().Add(checkFor)
	if failure != nil {
		g.until = g.now().Add(recheckAfter)
	}
	g.checking = nil
	close(done)
}

// logChange logs an outcome that differs from the previous one.
func (g *Guard) logChange(failure error) {
	switch {
	case g.logged && fmt.Sprint(failure) == fmt.Sprint(g.failure):
		return
	case failure != nil:
		g.logger.Warn("scanner.untrusted", "error", failure)
	default:
		g.logger.Info("scanner.trusted", "note", g.Note())
	}
	g.logged = true
}

// doubt makes the next scan wait for a check: clamd may have been restarted with
// another configuration.
func (g *Guard) doubt() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure == nil {
		g.known = false
	}
}

// check tests whether clamd can be trusted.
func (g *Guard) check(ctx context.Context) error {
	if err := g.checkAge(ctx); err != nil {
		return err
	}

	verdict, _, err := g.client.Scan(ctx, strings.NewReader(eicar()))
	if err != nil {
		return err
	}
	if verdict != mail.Infected {
		return untrusted("the virus scanner does not find the EICAR test file: it has no usable signatures")
	}

	bomb, err := nested()
	if err != nil {
		return err
	}
	verdict, signature, err := g.client.Scan(ctx, bomb)
	if err != nil {
		return err
	}
	if verdict != mail.Unscannable || !strings.HasPrefix(signature, limitAlert) {
		return untrusted("the virus scanner passes archives that are nested beyond its limit: set AlertExceedsMax in clamd.conf")
	}
	return nil
}

// checkAge compares the age of the signatures with MaxSignatureAge.
func (g *Guard) checkAge(ctx context.Context) error {
	if g.maxAge == 0 {
		return nil
	}
	answer, err := g.client.Version(ctx)
	if err != nil {
		return err
	}
	made, ok := signaturesMade(answer)
	age := g.now().Sub(made)
	switch {
	case !ok || age < -24*time.Hour: // from the future: not a matter of clocks
		return untrusted("the age of the virus scanner's signatures is not known: " +
			"update them, or write scanner.max_signature_age: off into the configuration")
	case age > g.maxAge:
		return untrusted(fmt.Sprintf("the virus scanner's signatures are %s old, and scanner.max_signature_age is %s: update them",
			age.Round(time.Hour), g.maxAge))
	}
	return nil
}

func untrusted(why string) error { return fault.New(fault.ScannerUnavailable, why) }
