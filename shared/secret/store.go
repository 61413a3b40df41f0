package secret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxText bounds a secret in bytes.
const maxText = 64 << 10

// Defaults of a Config.
const (
	defaultFilePoll     = 30 * time.Second
	defaultVaultRefresh = time.Minute
	defaultAWSRefresh   = 5 * time.Minute
	defaultTimeout      = 10 * time.Second
	defaultGrace        = 24 * time.Hour
)

// Config is what a Store is made of. Every field may be left out.
type Config struct {
	// Getenv answers env: references and VAULT_TOKEN_FILE; default os.Getenv. The
	// clients of Vault and AWS read the rest of their settings from the process's
	// environment themselves.
	Getenv func(string) string
	Logger *slog.Logger
	// FilePoll is how often files are read again although nothing was heard of
	// them; default 30 s. Changes that are heard of take effect at once.
	FilePoll time.Duration
	// VaultRefresh and AWSRefresh are how often a value is read again; default 1
	// and 5 minutes.
	VaultRefresh time.Duration
	AWSRefresh   time.Duration
	// Timeout bounds one reading; default 10 s.
	Timeout time.Duration
}

// Store resolves references and, while Watch runs, keeps what it has resolved
// up to date. It is safe for concurrent use.
type Store struct {
	getenv  func(string) string
	logger  *slog.Logger
	every   map[string]time.Duration // by scheme; schemes that are not in it never change
	timeout time.Duration
	vault   *vault
	aws     *awsManager

	grace atomic.Int64 // how long a secret verifies after it is gone, nanoseconds
	now   func() time.Time

	added      chan struct{} // a remote secret has joined
	filesAdded chan struct{}

	mu       sync.Mutex
	cells    map[string]*cell
	watching bool
}

// Status is how one reference does.
type Status struct {
	Ref string
	// Updated is when the present text was first seen; zero while an expected
	// secret has not appeared.
	Updated time.Time
	// Failing is whether the last reading failed; the secret then shows what it
	// showed before. Since is when that began, or ended.
	Failing bool
	Since   time.Time
	// Gone is whether the store said last that the secret does not exist. It verifies
	// until VerifiesUntil, which is zero where it is not gone, and nothing from the
	// first reading after that which says so again; Withdrawn says that this was.
	Gone          bool
	VerifiesUntil time.Time
	Withdrawn     bool
}

// Open makes a Store. It connects to nothing: a client is made when the first
// reference needs it.
func Open(_ context.Context, c Config) (*Store, error) {
	for name, d := range map[string]time.Duration{
		"FilePoll": c.FilePoll, "VaultRefresh": c.VaultRefresh, "AWSRefresh": c.AWSRefresh, "Timeout": c.Timeout,
	} {
		if d < 0 {
			return nil, fmt.Errorf("secret store: %s must not be negative", name)
		}
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		getenv: c.Getenv,
		logger: c.Logger,
		every: map[string]time.Duration{
			schemeFile:  cmp.Or(c.FilePoll, defaultFilePoll),
			schemeVault: cmp.Or(c.VaultRefresh, defaultVaultRefresh),
			schemeAWS:   cmp.Or(c.AWSRefresh, defaultAWSRefresh),
		},
		timeout:    cmp.Or(c.Timeout, defaultTimeout),
		vault:      &vault{getenv: c.Getenv, logger: c.Logger},
		aws:        &awsManager{},
		added:      make(chan struct{}, 1),
		filesAdded: make(chan struct{}, 1),
		cells:      map[string]*cell{},
		now:        time.Now,
	}
	s.grace.Store(int64(defaultGrace))
	return s, nil
}

// SetGrace sets how long a secret goes on verifying after its store said that it does
// not exist; 24 hours until it is called.
func (s *Store) SetGrace(d time.Duration) { s.grace.Store(int64(d)) }

// Verifying returns the secret behind a reference that was resolved or is expected,
// for checking what others present: it shows what the resolved one shows, and random
// text, which nobody can know, once the secret is gone for longer than the grace
// period. The resolved one keeps its last text, for what is signed or opened with it.
// A reference that was not asked for before gives the zero secret.
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

// Resolve gives the secret behind a reference. The same reference gives the same
// secret, which Watch renews. The first reading must succeed, within the timeout;
// the error names the reference, and wraps ErrNothing when nothing is there.
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
	s.join(c)
	return c.secret, nil
}

// Expect is Resolve for a secret that may appear later: where nothing is there
// yet it gives a secret that shows random text, which nobody can know, until Watch
// finds the real one. A variable of the environment cannot appear; it is an error.
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
		s.join(c)
	}
	return c.secret, c.there(), nil
}

// Status lists every reference that has been resolved or is expected, by name.
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

// Watch keeps the secrets up to date until ctx is done, also those that are
// resolved while it runs, and then leaves no goroutine behind. What has changed
// since it was resolved is seen at once. A reading that fails is logged, once
// until it works again. Watch runs at most once.
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
		for _, c := range s.joined(schemeVault, schemeAWS) {
			if kept[c] {
				continue
			}
			kept[c] = true
			running.Go(func() { s.keep(ctx, c) })
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

// keep reads one secret again and again, at times that differ between processes.
func (s *Store) keep(ctx context.Context, c *cell) {
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

// refresh reads a secret again. An end of ctx says nothing about the secret.
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

// read finds the text of a reference.
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

// cell finds or makes the place of a reference.
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

// join tells Watch of a secret that it has to keep.
func (s *Store) join(c *cell) {
	to := s.added
	if c.at.scheme == schemeFile {
		to = s.filesAdded
	}
	select {
	case to <- struct{}{}:
	default: // it has been told, and will look
	}
}

// joined lists the secrets of these schemes that have been resolved or are expected.
func (s *Store) joined(schemes ...string) []*cell {
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
