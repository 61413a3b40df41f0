// Package operations answers what people ask who look after the whole: how the
// destinations do, where the rules would send a mail, and the numbers of the
// overview.
//
// Invariants: a caller learns of no email, rule or destination that is not of a tenant
// in which it has a role; pausing a destination touches every tenant that it serves,
// so it needs the operator role in all of those, and what was said is in the audit
// chain; the address of a destination shows as its host alone; the tester sends
// nothing and changes nothing.
package operations

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/rules"
)

// overviewKept is how long numbers are shown again, so that many open pages cost
// one question.
const overviewKept = 2 * time.Second

// Ledger is what the service reads and writes.
type Ledger interface {
	FindEmail(ctx context.Context, l ledger.Lookup) (*ledger.EmailDetail, error)
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
	Controls(ctx context.Context) ([]ledger.Control, error)
	SetControl(ctx context.Context, c ledger.Control, via contract.Via) error
	DestinationStatuses(ctx context.Context) ([]ledger.DestinationStatus, error)
	// Backlogs and Overview are about these tenants; nil means all.
	Backlogs(ctx context.Context, tenants []string) (map[string]ledger.Backlog, error)
	Overview(ctx context.Context, now time.Time, tenants []string) (*ledger.Overview, error)
}

// Messages reads the parsed mail that a manifest names.
type Messages interface {
	Message(ctx context.Context, m *ledger.Manifest) (*mail.Message, error)
}

// Acks measures how fast the ingress answers senders, of every tenant.
type Acks interface {
	Acks() (*ledger.Ack, error)
}

// Config is what is configured.
type Config struct {
	Destinations []config.Destination
	Routes       []config.Route
	Tenants      []config.Tenant
}

// Deps is what a Service needs. Without Messages the rules are tried on a stored
// email without its headers.
type Deps struct {
	Ledger   Ledger
	Messages Messages
	Acks     Acks             // nil: how fast senders are answered is not known here
	Now      func() time.Time // nil means time.Now
}

// Service answers. It is safe for concurrent use.
type Service struct {
	cfg     Config
	deps    Deps
	rules   *rules.Rules
	version string

	mu        sync.Mutex
	overviews map[string]*measured // by the tenants
}

// measured is an overview that is being measured, or was. done is closed once it is.
type measured struct {
	at   time.Time
	done chan struct{}
	o    *ledger.Overview
	err  error
}

// New compiles the routes.
func New(cfg Config, deps Deps) (*Service, error) {
	if deps.Ledger == nil {
		return nil, errors.New("operations service: Ledger is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	compiled, err := rules.New(cfg.Routes, cfg.Tenants, cfg.Destinations)
	if err != nil {
		return nil, err
	}
	return &Service{
		cfg: cfg, deps: deps, rules: compiled, version: rules.Version(cfg.Routes, cfg.Tenants, cfg.Destinations),
		overviews: map[string]*measured{},
	}, nil
}

// tenantsOf gives whose mail somebody may see; nil means all.
func tenantsOf(who access.Identity) []string {
	tenants, _ := who.Tenants(access.Viewer)
	return tenants
}

// Overview gives the numbers of tenants, nil meaning all, at most two seconds old.
// Whoever asks while they are measured waits for the same measurement.
func (s *Service) Overview(ctx context.Context, tenants []string) (*ledger.Overview, error) {
	key := "*"
	if tenants != nil {
		key = ""
		for _, t := range slices.Sorted(slices.Values(tenants)) {
			key += t + "\n"
		}
	}

	now := s.deps.Now()
	s.mu.Lock()
	m := s.overviews[key]
	if m == nil || now.Sub(m.at) >= overviewKept {
		for k, old := range s.overviews { // what nobody asks for any more
			if now.Sub(old.at) > time.Minute {
				delete(s.overviews, k)
			}
		}
		m = &measured{at: now, done: make(chan struct{})}
		s.overviews[key] = m
		go func() { // for all who wait, whoever of them goes away
			defer close(m.done)
			measuring, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			m.o, m.err = s.deps.Ledger.Overview(measuring, now, tenants)
			if m.err == nil && s.deps.Acks != nil && tenants == nil {
				m.o.Ack, m.err = s.deps.Acks.Acks()
			}
		}()
	}

	s.mu.Unlock()
	select {
	case <-m.done:
		return m.o, m.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
