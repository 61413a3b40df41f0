package authlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Bounds where Config names none.
const (
	DefaultKeep      = 30 * 24 * time.Hour
	DefaultAddresses = 1000
)

// maxHeld bounds the entries with an address of all hours and sources together.
// They become many only while the database is away for hours under a flood.
const maxHeld = 10_000

// Store is where failures are kept.
type Store interface {
	// SaveVerificationFailures adds the counts of rows, all or nothing.
	SaveVerificationFailures(ctx context.Context, rows []ledger.VerificationFailure) error
	// PruneVerificationFailures deletes what ended before a time.
	PruneVerificationFailures(ctx context.Context, before time.Time) (int64, error)
}

// Config bounds what is kept. Zero fields take the default.
type Config struct {
	// Keep is how long the database keeps a failure.
	Keep time.Duration
	// Addresses is how many causes with an address are kept apart for one source
	// within one hour. A source that is flooded takes nothing from another.
	Addresses int
}

func (c Config) validate() error {
	if c.Keep < time.Hour {
		return fmt.Errorf("keep %s is less than an hour", c.Keep)
	}
	if c.Addresses < 1 || c.Addresses > maxHeld {
		return fmt.Errorf("addresses %d is not between 1 and %d", c.Addresses, maxHeld)
	}
	return nil
}

// Deps is what a Recorder needs; all but Now are required.
type Deps struct {
	Store  Store
	Logger *slog.Logger
	Now    func() time.Time // nil means time.Now
}

// Failure is one verification that failed.
type Failure struct {
	Source string
	Scheme string // "none" where the request named none
	Code   fault.Code
	// Address is the client's. It is kept whole, IPv6 as well, because a provider
	// is told apart by it; without zone, and IPv4 in IPv6 as IPv4.
	Address netip.Addr
	At      time.Time // zero means now
}

// cause is what failures are told apart by within an hour.
type cause struct {
	source, scheme string
	code           fault.Code
	address        netip.Addr // zero: all beyond the bound
}

// entry counts the failures of one cause that are not written yet.
type entry struct {
	cause
	hour        int64 // Unix seconds
	count       int64
	first, last time.Time
}

// hourly is one hour. It stays until it is over and all of it is written, so that
// an address that was met once keeps its name for the whole hour.
type hourly struct {
	entries map[cause]*entry
	named   map[string]int // entries with an address, by source
	held    int            // the sum of named
}

// Recorder gathers failures and writes them in batches; see Run.
type Recorder struct {
	cfg    Config
	store  Store
	logger *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	hours map[int64]*hourly
	held  int      // entries with an address, of all hours
	dirty []*entry // those with a count, each once

	// Of Run alone.
	away      bool // the last write failed, and was told
	nextPrune time.Time
}

// New makes a Recorder. Nothing is written before Run.
func New(cfg Config, deps Deps) (*Recorder, error) {
	if cfg.Keep == 0 {
		cfg.Keep = DefaultKeep
	}
	if cfg.Addresses == 0 {
		cfg.Addresses = DefaultAddresses
	}
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if deps.Store == nil || deps.Logger == nil {
		return nil, errors.New("audit: Store and Logger are required")
	}
	r := &Recorder{cfg: cfg, store: deps.Store, logger: deps.Logger, now: deps.Now, hours: map[int64]*hourly{}}
	if r.now == nil {
		r.now = time.Now
	}
	return r, nil
}

// Add counts a failure. It never waits for the database, and allocates only for a
// cause that is new in its hour and within the bound. It is safe for concurrent use.
func (r *Recorder) Add(f Failure) {
	if f.At.IsZero() {
		f.At = r.now()
	}
	c := cause{f.Source, f.Scheme, f.Code, f.Address.Unmap().WithZone("")}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entryOf(hourOf(f.At), c)
	r.count(e, 1, f.At, f.At)
}

// hourOf gives the hour that t is in.
func hourOf(t time.Time) int64 {
	const hour = int64(time.Hour / time.Second)
	s := t.Unix()
	return s - s%hour
}

// entryOf finds the entry of a cause or makes one, that of no address where the
// bound is reached. The caller holds the lock.
func (r *Recorder) entryOf(hour int64, c cause) *entry {
	h := r.hours[hour]
	if h == nil {
		h = &hourly{entries: map[cause]*entry{}, named: map[string]int{}}
		r.hours[hour] = h
	}
	if e := h.entries[c]; e != nil {
		return e
	}
	if c.address.IsValid() {
		if h.named[c.source] < r.cfg.Addresses && r.held < maxHeld {
			h.named[c.source]++
			h.held++
			r.held++
		} else {
			c.address = netip.Addr{}
			if e := h.entries[c]; e != nil {
				return e
			}
		}
	}
	e := &entry{cause: c, hour: hour}
	h.entries[c] = e
	return e
}

// count adds to an entry. The caller holds the lock.
func (r *Recorder) count(e *entry, n int64, first, last time.Time) {
	if e.count == 0 {
		r.dirty = append(r.dirty, e)
		e.first, e.last = first, last
	}
	e.count += n
	if first.Before(e.first) {
		e.first = first
	}
	if last.After(e.last) {
		e.last = last
	}
}
