// Package operations shows and changes the state of the installation: destinations, the
// rules and a test of them, sources, tokens, and the numbers of the overview.
//
// Invariants: a caller learns of no email, rule or destination of a tenant in which it has
// no role, and never the text of a secret or token; pausing a destination affects every tenant that it serves, so it needs the
// operator role in all of those, and is recorded in the audit chain; the address of a
// destination shows as its host alone; the test of rules sends and changes nothing.
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

// overviewKept is how long numbers are reused, so that many open pages cost one query.
const overviewKept = 2 * time.Second

// Ledger is what the service reads and writes.
type Ledger interface {
	FindEmail(ctx context.Context, l ledger.Lookup) (*ledger.EmailDetail, error)
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
	Controls(ctx context.Context) ([]ledger.Control, error)
	SetControl(ctx context.Context, c ledger.Control, via contract.Via) error
	DestinationStatuses(ctx context.Context) ([]ledger.DestinationStatus, error)
	// Backlogs and Overview count these tenants; nil means all.
	Backlogs(ctx context.Context, tenants []string) (map[string]ledger.Backlog, error)
	Overview(ctx context.Context, now time.Time, tenants []string) (*ledger.Overview, error)
	WorkerReports(ctx context.Context) ([]ledger.WorkerReport, error)
}

// Messages reads the parsed mail that a manifest names.
type Messages interface {
	Message(ctx context.Context, m *ledger.Manifest) (*mail.Message, error)
}

// Acks measures how fast the ingress answers senders, of every tenant.
type Acks interface {
	Acks() (*ledger.Ack, error)
}

// Config is the part of the configuration that the service shows.
type Config struct {
	Sources      []config.Source
	Destinations []config.Destination
	Routes       []config.Route
	Tenants      []config.Tenant
}

// Deps is what a Service needs; all but Now is required.
type Deps struct {
	Ledger   Ledger
	Messages Messages
	Acks     Acks
	Rules    *rules.Rules // compiled from Config
	// Health returns what /readyz of this ingress says: ready or another status, and a
	// word for each dependency.
	Health func(ctx context.Context) (status string, checks map[string]string)
	Now    func() time.Time // nil means time.Now
}

// Service is safe for concurrent use.
type Service struct {
	cfg  Config
	deps Deps

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

// New makes a service.
func New(cfg Config, deps Deps) (*Service, error) {
	if deps.Ledger == nil || deps.Messages == nil || deps.Acks == nil || deps.Rules == nil || deps.Health == nil {
		return nil, errors.New("operations service: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Service{cfg: cfg, deps: deps, overviews: map[string]*measured{}}, nil
}

// tenantsOf returns the tenants whose mail a caller may see; nil means all.
func tenantsOf(who access.Identity) []string {
	tenants, _ := who.Tenants(access.Viewer)
	return tenants
}

// Overview returns the numbers of tenants, nil meaning all, at most two seconds old.
// Concurrent callers wait for the same measurement.
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
		for k, old := range s.overviews { // measurements that are not requested any more
			if now.Sub(old.at) > time.Minute {
				delete(s.overviews, k)
			}
		}
		m = &measured{at: now, done: make(chan struct{})}
		s.overviews[key] = m
		go func() { // for all callers that wait, also if the first one gives up
			defer close(m.done)
			measuring, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			m.o, m.err = s.deps.Ledger.Overview(measuring, now, tenants)
			if m.err == nil && tenants == nil {
				m.o.Ack, m.err = s.deps.Acks.Acks()
			}
			if m.err == nil {
				m.o.Alerts, m.err = s.alerts(measuring, tenants)
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
