package worker

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/telemetry"
)

// enroller gives emails that Temporal accepted their rows, and tells who watches.
type enroller struct {
	ledger   activities.BackfillLedger
	logger   *slog.Logger
	enrolled *prometheus.CounterVec
}

// The results of mailroom_enrolled_total.
const (
	enrolledNow       = "enrolled"
	enrolledOther     = "other_body" // the row of another body, which nobody else can carry
	enrolledElsewhere = "elsewhere"
	enrolledEarly     = "early" // the email that took the event id is not there yet
	enrolledLost      = "content_lost"
)

var _ activities.BackfillLedger = (*enroller)(nil)

func newEnroller(ledger activities.BackfillLedger, logger *slog.Logger, reg prometheus.Registerer) (*enroller, error) {
	e := &enroller{ledger: ledger, logger: logger, enrolled: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mailroom_enrolled_total",
		Help: "Looks for the ledger row of an email that Temporal accepted while the database was away, by what was found.",
	}, []string{"result"})}
	for _, r := range []string{enrolledNow, enrolledOther, enrolledElsewhere, enrolledEarly, enrolledLost} {
		e.enrolled.WithLabelValues(r)
	}
	if err := reg.Register(e.enrolled); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return e, nil
}

// BackfillRow implements activities.BackfillLedger. A repeat is counted again.
func (e *enroller) BackfillRow(ctx context.Context, in contract.BackfillInput, body []byte) (contract.BackfillResult, error) {
	out, err := e.ledger.BackfillRow(ctx, in, body)
	if err == nil {
		e.tell(in, out, true)
	}
	return out, err
}

// BackfillLost implements activities.BackfillLedger.
func (e *enroller) BackfillLost(ctx context.Context, in contract.BackfillInput) (contract.BackfillResult, bool, error) {
	out, found, err := e.ledger.BackfillLost(ctx, in)
	if err == nil {
		e.tell(in, out, found)
	}
	return out, found, err
}

func (e *enroller) tell(in contract.BackfillInput, out contract.BackfillResult, found bool) {
	result := enrolledNow
	switch {
	case !found:
		result = enrolledLost
	case out.Duplicate:
		result = enrolledElsewhere
	case out.FirstMissing:
		result = enrolledEarly
	case out.OtherBody:
		result = enrolledOther
	}
	e.enrolled.WithLabelValues(result).Inc()
	e.logger.Info("email.enrolled", append(telemetry.Attrs(in.Email), "result", result)...)
}
