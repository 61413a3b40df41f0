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

// Defaults of Config.
const (
	DefaultKeep      = 30 * 24 * time.Hour
	DefaultAddresses = 1000
)

// maxHeld bounds the entries with an address, of all hours and sources together. There are
// many only if the database is unavailable for hours during a flood.
const maxHeld = 10_000

// Store persists failures.
type Store interface {
	// SaveVerificationFailures adds the counts of rows to those stored, all or none.
	SaveVerificationFailures(ctx context.Context, rows []ledger.VerificationFailure) error
	// PruneVerificationFailures deletes the rows of hours that ended before a time and
	// returns how many there were.
	PruneVerificationFailures(ctx context.Context, before time.Time) (int64, error)
}

// Config bounds what is stored. A zero field has its default.
type Config struct {
	// Keep is how long the database keeps a failure, at least an hour.
	Keep time.Duration
	// Addresses is how many causes with an address are counted separately for one source
	// within one hour, from 1 to 10,000. A flood of one source does not reduce the number
	// of another.
	Addresses int
}

// validate returns an error for a value out of its bounds.
func (c Config) validate() error {
	if c.Keep < time.Hour {
		return fmt.Errorf("keep %s is less than an hour", c.Keep)
	}
	if c.Addresses < 1 || c.Addresses > maxHeld {
		return fmt.Errorf("addresses %d is not between 1 and %d", c.Addresses, maxHeld)
	}
	return nil
}

// Deps are the dependencies of a Recorder. All but Now are required.
type Deps struct {
	Store  Store
	Logger *slog.Logger
	Now    func() time.Time // nil means time.Now
}

// Failure is one verification that failed.
type Failure struct {
	Source string
	Scheme string // "none" if the request had the headers of none
	Code   fault.Code
	// Address is the client's. It is stored whole, IPv6 too, because it identifies a
	// provider; without a zone, and an IPv4-mapped address as IPv4.
	Address netip.Addr
	At      time.Time // zero means now
}

// cause identifies the failures that are counted together within an hour.
type cause struct {
	source, scheme string
	code           fault.Code
	address        netip.Addr // zero: every address beyond the bound
}

// entry counts the failures of one cause that are not written yet.
type entry struct {
	cause
	hour        int64 // Unix seconds
	count       int64
	first, last time.Time
}

// hourly holds the entries of one hour. It is removed when the hour is over and all of it
// is written, so that an address that has an entry keeps it for the whole hour.
type hourly struct {
	entries map[cause]*entry
	named   map[string]int // entries with an address, by source
	held    int            // the sum of named
}

// Recorder collects failures with Add and writes them in batches in Run.
type Recorder struct {
	cfg    Config
	store  Store
	logger *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	hours map[int64]*hourly
	held  int      // entries with an address, of all hours
	dirty []*entry // those with a count, each once

	// Owned by Run.
	failing   bool // the last write failed, and that was logged
	nextPrune time.Time
}

// New returns a Recorder that writes nothing before Run. It returns an error for a bound
// out of range or a missing dependency.
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

// Add counts a failure. It never waits for the database, and allocates only for a cause
// that is new in its hour and within the bounds. It is safe for concurrent use.
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

// hourOf returns the beginning of the hour of t, in Unix seconds.
func hourOf(t time.Time) int64 {
	const hour = int64(time.Hour / time.Second)
	s := t.Unix()
	return s - s%hour
}

// entryOf returns the entry of a cause in an hour, and creates it if there is none. Beyond
// the bounds it is the entry without an address. The caller holds the lock.
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

// count adds n failures between first and last to an entry. The caller holds the lock.
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
