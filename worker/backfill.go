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

// backfill inserts the rows of emails whose workflow was started through Temporal while
// the database was unavailable. It counts and logs each result.
type backfill struct {
	ledger  activities.BackfillLedger
	logger  *slog.Logger
	results *prometheus.CounterVec
}

// The results of mailroom_enrolled_total.
const (
	resultBackfilled = "enrolled"
	resultOtherBody  = "other_body" // the row of another body, which this email alone can hold
	resultElsewhere  = "elsewhere"
	resultEarly      = "early" // the email that has the event id has no row yet
	resultLost       = "content_lost"
)

var _ activities.BackfillLedger = (*backfill)(nil)

func newBackfill(ledger activities.BackfillLedger, logger *slog.Logger, reg prometheus.Registerer) (*backfill, error) {
	b := &backfill{ledger: ledger, logger: logger, results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mailroom_enrolled_total",
		Help: "Backfills of the ledger row of an email that Temporal accepted while the database was unavailable, by result.",
	}, []string{"result"})}
	for _, r := range []string{resultBackfilled, resultOtherBody, resultElsewhere, resultEarly, resultLost} {
		b.results.WithLabelValues(r)
	}
	if err := reg.Register(b.results); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return b, nil
}

// BackfillRow implements activities.BackfillLedger. A repeat is counted again.
func (b *backfill) BackfillRow(ctx context.Context, in contract.BackfillInput, body []byte) (contract.BackfillResult, error) {
	out, err := b.ledger.BackfillRow(ctx, in, body)
	if err == nil {
		b.report(in, out, true)
	}
	return out, err
}

// BackfillLost implements activities.BackfillLedger.
func (b *backfill) BackfillLost(ctx context.Context, in contract.BackfillInput) (contract.BackfillResult, bool, error) {
	out, found, err := b.ledger.BackfillLost(ctx, in)
	if err == nil {
		b.report(in, out, found)
	}
	return out, found, err
}

func (b *backfill) report(in contract.BackfillInput, out contract.BackfillResult, found bool) {
	result := resultBackfilled
	switch {
	case !found:
		result = resultLost
	case out.Duplicate:
		result = resultElsewhere
	case out.FirstMissing:
		result = resultEarly
	case out.OtherBody:
		result = resultOtherBody
	}
	b.results.WithLabelValues(result).Inc()
	b.logger.Info("email.enrolled", append(telemetry.Attrs(in.Email), "result", result)...)
}
