package operations

import (
	"context"
	"net/url"
	"slices"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/decision"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// Destination is the state of one destination. Breaker is the worst of all workers,
// empty where none has reported lately.
type Destination struct {
	Name string `json:"name"`
	// Tenants are those that it serves, as far as the caller has a role in them.
	Tenants     []string        `json:"tenants"`
	Host        string          `json:"url"`
	Breaker     string          `json:"breaker"`
	InFlight    int             `json:"in_flight"`
	MaxInFlight int             `json:"max_in_flight"` // of one worker
	Backlog     ledger.Backlog  `json:"backlog"`
	Paused      *ledger.Control `json:"paused"`     // null unless a person has paused it
	GoneUntil   *time.Time      `json:"gone_until"` // it answered 410; a resume ends that
	// NextProbeAt is when the next call is due: of what waits, and not before a stop or an
	// open breaker ends. It is nil while the destination is paused, and if nothing is due.
	NextProbeAt   *time.Time                 `json:"next_probe_at"`
	LastSuccessAt *time.Time                 `json:"last_success_at"`
	LastFailureAt *time.Time                 `json:"last_failure_at"`
	LastFailure   string                     `json:"last_failure"`
	Workers       []ledger.DestinationStatus `json:"workers"`
}

// Destinations returns the state of each destination that is Visible to callers of tenants.
// The backlog is that of these tenants.
func (s *Service) Destinations(ctx context.Context, tenants []string) ([]Destination, error) {
	controls, err := s.deps.Ledger.Controls(ctx)
	if err != nil {
		return nil, err
	}

	statuses, err := s.deps.Ledger.DestinationStatuses(ctx)
	if err != nil {
		return nil, err
	}

	backlogs, err := s.deps.Ledger.Backlogs(ctx, tenants)
	if err != nil {
		return nil, err
	}

	out := make([]Destination, 0, len(s.cfg.Destinations))
	for _, to := range Visible(s.cfg, tenants).Destinations {
		row := Destination{
			Name: to.Name, Tenants: slices.Concat([]string{}, to.Tenants), Host: hostOf(to), MaxInFlight: to.MaxInFlight, Backlog: backlogs[to.Name],
			Workers: []ledger.DestinationStatus{},
		}
		if row.MaxInFlight <= 0 {
			row.MaxInFlight = config.DefaultMaxInFlight
		}
		var resumed time.Time
		for _, c := range controls {
			if c.Destination != to.Name {
				continue
			}
			if c.Paused {
				row.Paused = &c
			} else {
				resumed = c.At
			}
			if c.RecoveredAt.After(resumed) {
				resumed = c.RecoveredAt
			}
			if !c.GoneUntil.IsZero() {
				row.GoneUntil = &c.GoneUntil
			}
		}
		for _, status := range statuses {
			if status.Destination == to.Name {
				row.add(status, resumed)
			}
		}
		row.NextProbeAt = row.nextProbe()
		out = append(out, row)
	}

	return out, nil
}

// nextProbe returns when the next call to the destination is due, nil if that is unknown.
func (row *Destination) nextProbe() *time.Time {
	switch {
	case row.Paused != nil:
		return nil
	case row.GoneUntil != nil:
		return row.GoneUntil
	}

	var opens *time.Time // of the first worker that may call
	for _, w := range row.Workers {
		switch {
		case w.ProbeAt == nil:
			return row.Backlog.NextAttemptAt
		case opens == nil || w.ProbeAt.Before(*opens):
			opens = w.ProbeAt
		}
	}
	if due := row.Backlog.NextAttemptAt; opens == nil || due != nil && due.After(*opens) {
		return due
	}
	return opens
}

// add adds what one worker has reported. Of a silent worker the attempts count, but not
// its breaker. A stop that began before the destination was resumed, or has recovered, is over, also
// where a worker has not reported that yet.
func (row *Destination) add(s ledger.DestinationStatus, resumed time.Time) {
	if s.GoneUntil != nil && !s.GoneUntil.After(resumed.Add(ledger.LongestStop)) {
		s.GoneUntil = nil
	}

	if s.LastSuccessAt != nil && (row.LastSuccessAt == nil || s.LastSuccessAt.After(*row.LastSuccessAt)) {
		row.LastSuccessAt = s.LastSuccessAt
	}
	if s.LastFailureAt != nil && (row.LastFailureAt == nil || s.LastFailureAt.After(*row.LastFailureAt)) {
		row.LastFailureAt, row.LastFailure = s.LastFailureAt, s.LastFailure
	}
	if !s.Fresh {
		return
	}
	row.Workers = append(row.Workers, s)
	row.InFlight += s.InFlight
	badness := []string{"", ledger.BreakerClosed, ledger.BreakerHalfOpen, ledger.BreakerOpen}
	if slices.Index(badness, s.Breaker) > slices.Index(badness, row.Breaker) {
		row.Breaker = s.Breaker
	}
	if s.GoneUntil != nil && (row.GoneUntil == nil || s.GoneUntil.After(*row.GoneUntil)) {
		row.GoneUntil = s.GoneUntil
	}
}

// hostOf returns the host of an address: a path may contain a secret.
func hostOf(to config.Destination) string {
	u, err := url.Parse(to.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// MayPause reports whether a caller may pause and resume a destination: that needs the
// operator role in every tenant that it serves.
func (s *Service) MayPause(who access.Identity, name string) bool {
	if who.In(access.Everywhere) >= access.Operator {
		return true
	}
	to, _ := s.cfg.destination(name)
	return len(to.Tenants) > 0 && !slices.ContainsFunc(to.Tenants, func(t string) bool { return who.In(t) < access.Operator })
}

// SetPaused pauses a destination or resumes it, for every tenant that it serves, which
// needs the operator role in all of them. A destination of other tenants is not found.
// Workers follow within a few seconds.
func (s *Service) SetPaused(ctx context.Context, who access.Identity, via contract.Via, name string, paused bool, note string) error {
	switch _, known := s.visibleTo(who).destination(name); {
	case who.Best() < access.Operator:
		return fault.New(fault.Forbidden, "pausing and resuming a destination needs the operator role")
	case !known:
		return fault.New(fault.NotFound, "there is no such destination")
	case !s.MayPause(who, name):
		return fault.New(fault.Forbidden, "this destination also serves other tenants: pausing and resuming it needs the operator role in all of them")
	}
	if err := decision.CheckNote(note); err != nil {
		return err
	}
	return s.deps.Ledger.SetControl(ctx, ledger.Control{Destination: name, Paused: paused, Actor: who.Name, Note: note}, via)
}
