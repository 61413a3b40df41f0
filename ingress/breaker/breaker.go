// Package breaker makes the circuit breakers of the ingress: one for each dependency
// that requests would otherwise wait for.
//
// Invariant: a breaker opens after a number of failures in a row, and lets one attempt
// pass in each pause until one succeeds.
package breaker

import (
	"errors"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Breaker reports whether a call may be made, and is told how it ended.
type Breaker = gobreaker.TwoStepCircuitBreaker[struct{}]

// ErrInconclusive is reported for a call that had too little time to show anything: it
// counts neither as a success nor as a failure.
var ErrInconclusive = errors.New("the call had too little time")

// Config describes a breaker.
type Config struct {
	Name     string // of the dependency, in the log
	Failures uint32 // in a row, after which the breaker opens
	Pause    time.Duration
	// OnChange, if set, is called after each change of state.
	OnChange func(to gobreaker.State)
}

// New returns a closed breaker that logs when it opens and when it closes again.
func New(c Config, logger *slog.Logger) *Breaker {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: c.Name, MaxRequests: 1, Timeout: c.Pause,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= c.Failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, ErrInconclusive) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			if from == gobreaker.StateClosed || to == gobreaker.StateClosed { // not each attempt in between
				logger.Warn("dependency.breaker", slog.String("dependency", name),
					slog.String("from", from.String()), slog.String("to", to.String()))
			}

			if c.OnChange != nil {
				c.OnChange(to)
			}
		},
	})
}
