package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxText bounds a secret in bytes.
const maxText = 64 << 10

// intervals are the times of a Store.
type intervals struct {
	// file is how often files are read again without a notification of a change, which
	// takes effect at once.
	file time.Duration
	// vault and aws are how often a value is read again.
	vault time.Duration
	aws   time.Duration
	read  time.Duration // bounds one read
}

// defaultGrace is the grace period until SetGrace.
const defaultGrace = 24 * time.Hour

// Store resolves references and, while Watch runs, keeps the resolved secrets up to
// date. It is safe for concurrent use.
type Store struct {
	getenv  func(string) string
	logger  *slog.Logger
	every   map[string]time.Duration // by scheme; secrets of other schemes never change
	timeout time.Duration
	vault   *vault
	aws     *awsManager

	grace atomic.Int64 // nanoseconds, see SetGrace
	now   func() time.Time

	added      chan struct{} // a remote secret was resolved or is expected
	filesAdded chan struct{}

	mu       sync.Mutex
	cells    map[string]*cell
	watching bool
}

// Status is the state of one reference.
type Status struct {
	Ref string
	// Updated is when the current text was first read; zero while an expected secret has
	// not appeared.
	Updated time.Time
	// Failing is whether the last read failed; the secret keeps its text then. Since is
	// when that began, or ended.
	Failing bool
	Since   time.Time
	// Gone is whether the store has answered that the secret does not exist. The secret
	// verifies until VerifiesUntil, which is zero unless it is gone. The first read after
	// that with the same answer withdraws it: then it verifies nothing.
	Gone          bool
	VerifiesUntil time.Time
	Withdrawn     bool
}

// Open makes a Store and connects to nothing: a client is made for the first reference
// that needs it. getenv answers env: references and VAULT_TOKEN_FILE; the clients of Vault
// and AWS read their other settings from the environment of the process.
func Open(getenv func(string) string, logger *slog.Logger) *Store {
	return open(getenv, logger, intervals{file: 30 * time.Second, vault: time.Minute, aws: 5 * time.Minute, read: 10 * time.Second})
}

func open(getenv func(string) string, logger *slog.Logger, i intervals) *Store {
	s := &Store{
		getenv:     getenv,
		logger:     logger,
		every:      map[string]time.Duration{schemeFile: i.file, schemeVault: i.vault, schemeAWS: i.aws},
		timeout:    i.read,
		vault:      &vault{getenv: getenv, logger: logger},
		aws:        &awsManager{},
		added:      make(chan struct{}, 1),
		filesAdded: make(chan struct{}, 1),
		cells:      map[string]*cell{},
		now:        time.Now,
	}
	s.grace.Store(int64(defaultGrace))
	return s
}

// SetGrace sets how long a secret still verifies after its store has answered that it
// does not exist; the default is 24 hours.
func (s *Store) SetGrace(d time.Duration) { s.grace.Store(int64(d)) }

// Verifying returns the secret of a resolved or expected reference, for checking what
// callers present. It reveals the same text as the resolved one, and unguessable random
// text once the secret is gone for longer than the grace period. The resolved one keeps
// its last text, for signing and opening. A reference that was not resolved before
// returns the zero secret.
func (s *Store) Verifying(ref string) Secret {
	s.mu.Lock()
	c := s.cells[ref]
	s.mu.Unlock()
	if c == nil {
		return Secret{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.verifier
}

// Resolve returns the secret of a reference, the same one each time, which Watch renews.
// The first read must succeed within the timeout. An error names the reference, and wraps
// ErrNothing if the secret does not exist.
func (s *Store) Resolve(ctx context.Context, ref string) (Secret, error) {
	c, err := s.cell(ref)
	if err != nil {
		return Secret{}, err
	}

	c.reading.Lock()
	defer c.reading.Unlock()
	if c.there() {
		return c.secret, nil
	}

	text, err := s.read(ctx, c.at)
	if err != nil {
		return Secret{}, err
	}
	c.found(text, s.now())
	s.notifyWatch(c)
	return c.secret, nil
}

// Expect is Resolve for a secret that may appear later: until Watch finds it, the secret
// reveals unguessable random text. A variable of the environment cannot appear later, so
// a missing one is an error.
func (s *Store) Expect(ctx context.Context, ref string) (secret Secret, there bool, err error) {
	secret, err = s.Resolve(ctx, ref)
	if err == nil || !errors.Is(err, ErrNothing) {
		return secret, err == nil, err
	}

	c, cellErr := s.cell(ref)
	if cellErr != nil {
		return Secret{}, false, cellErr
	}
	if _, changes := s.every[c.at.scheme]; !changes {
		return Secret{}, false, err
	}

	c.reading.Lock()
	defer c.reading.Unlock()
	if !c.there() {
		c.expect()
		s.notifyWatch(c)
	}
	return c.secret, c.there(), nil
}

// Status returns every resolved or expected reference, by name.
func (s *Store) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Status
	for _, c := range s.cells {
		if st, ok := c.status(s.graceNow()); ok {
			out = append(out, st)
		}
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Ref, b.Ref) })
	return out
}

// Watch keeps the secrets up to date until ctx is done, also those that are resolved
// while it runs, and returns after its goroutines have ended. It reads each secret at
// once, so that a change since its resolution takes effect. The first of several failing
// reads is logged. Watch runs at most once.
func (s *Store) Watch(ctx context.Context) error {
	s.mu.Lock()
	twice := s.watching
	s.watching = true
	s.mu.Unlock()
	if twice {
		return errors.New("secret store: it is watched already")
	}

	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.watchFiles(ctx) })

	renewing := false
	kept := map[*cell]bool{}
	for {
		for _, c := range s.watched(schemeVault, schemeAWS) {
			if kept[c] {
				continue
			}
			kept[c] = true
			running.Go(func() { s.refreshForever(ctx, c) })
			if c.at.scheme == schemeVault && !renewing {
				renewing = true
				running.Go(func() { s.vault.renew(ctx) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.added:
		}
	}
}

// refreshForever reads one secret until ctx is done, at times that differ between
// processes.
func (s *Store) refreshForever(ctx context.Context, c *cell) {
	every := s.every[c.at.scheme]
	for {
		s.refresh(ctx, c)
		wait := time.NewTimer(every - every/10 + mathrand.N(every/5+1)) //nolint:gosec // G404: spreads calls
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// refresh reads a secret again. A failure because ctx is done changes nothing.
func (s *Store) refresh(ctx context.Context, c *cell) {
	c.reading.Lock()
	defer c.reading.Unlock()
	text, err := s.read(ctx, c.at)
	if ctx.Err() != nil {
		return
	}

	now := s.now()
	if err != nil {
		if c.failed(err, now) {
			s.logger.Warn("secret.failing", "ref", c.at.text, "error", err)
		}
		if errors.Is(err, errGone) {
			s.missing(c, now)
		}
		return
	}

	renewed, recovered := c.found(text, now)
	if recovered {
		s.logger.Info("secret.recovered", "ref", c.at.text)
	}
	if renewed {
		s.logger.Info("secret.renewed", "ref", c.at.text)
	}
}

// read returns the text that a reference leads to.
func (s *Store) read(ctx context.Context, at reference) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()

	var text string
	var err error
	switch at.scheme {
	case schemeEnv:
		text, err = s.getenv(at.name), nil
		if blank(text) {
			err = nothing("the variable is not set")
		}
	case schemeFile:
		text, err = readFile(at.name)
	case schemeVault:
		text, err = s.vault.read(ctx, at)
	case schemeAWS:
		text, err = s.aws.read(ctx, at)
	}

	switch {
	case err == nil && len(text) > maxText:
		return "", fmt.Errorf("%s is larger than %dKiB", at.text, maxText>>10)
	case err == nil:
		return text, nil
	case errors.Is(err, ErrNothing):
		return "", fmt.Errorf("%s %w", at.text, err)
	}
	return "", fmt.Errorf("%s cannot be read: %w", at.text, err)
}

// cell returns the cell of a reference, which it makes at the first call.
func (s *Store) cell(ref string) (*cell, error) {
	at, err := parse(ref)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cells[ref]
	if c == nil {
		c = &cell{at: at}
		s.cells[ref] = c
	}
	return c, nil
}

// notifyWatch makes Watch include a secret.
func (s *Store) notifyWatch(c *cell) {
	to := s.added
	if c.at.scheme == schemeFile {
		to = s.filesAdded
	}
	select {
	case to <- struct{}{}:
	default: // a notification is pending
	}
}

// watched returns the resolved or expected secrets of these schemes.
func (s *Store) watched(schemes ...string) []*cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*cell
	for _, c := range s.cells {
		if _, ok := c.status(0); ok && slices.Contains(schemes, c.at.scheme) {
			out = append(out, c)
		}
	}
	return out
}
