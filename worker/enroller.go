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
	ledger   activities.EnrolLedger
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

var _ activities.EnrolLedger = (*enroller)(nil)

func newEnroller(ledger activities.EnrolLedger, logger *slog.Logger, reg prometheus.Registerer) (*enroller, error) {
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

// Enrol implements activities.EnrolLedger. A repeat is counted again.
func (e *enroller) Enrol(ctx context.Context, in contract.EnrolInput, body []byte) (contract.EnrolResult, error) {
	out, err := e.ledger.Enrol(ctx, in, body)
	if err == nil {
		e.tell(in, out, true)
	}
	return out, err
}

// EnrolLost implements activities.EnrolLedger.
func (e *enroller) EnrolLost(ctx context.Context, in contract.EnrolInput) (contract.EnrolResult, bool, error) {
	out, found, err := e.ledger.EnrolLost(ctx, in)
	if err == nil {
		e.tell(in, out, found)
	}
	return out, found, err
}

func (e *enroller) tell(in contract.EnrolInput, out contract.EnrolResult, found bool) {
	result := enrolledNow
	switch {
	case !found:
		result = enrolledLost
	case out.Elsewhere:
		result = enrolledElsewhere
	case out.Early:
		result = enrolledEarly
	case out.OtherBody:
		result = enrolledOther
	}
	e.enrolled.WithLabelValues(result).Inc()
	e.logger.Info("email.enrolled", append(telemetry.Attrs(in.Email), "result", result)...)
}
