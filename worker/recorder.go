package worker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/postgres"
	"mailroom/shared/telemetry"
)

// stateLedger saves changes of state.
type stateLedger interface {
	activities.StateRecorder
	activities.EndRecorder
	// Waited returns how long emails that have ended waited for people.
	Waited(ctx context.Context, ids []int64) (map[int64]time.Duration, error)
}

// recorder saves changes of state in the ledger, and counts and logs each.
type recorder struct {
	ledger         stateLedger
	logger         *slog.Logger
	states         *prometheus.CounterVec
	unknownSignals prometheus.Counter
	took           *prometheus.HistogramVec
}

func newRecorder(ledger stateLedger, logger *slog.Logger, reg prometheus.Registerer) (*recorder, error) {
	r := &recorder{
		ledger: ledger,
		logger: logger,
		states: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mailroom_email_states_total",
			Help: "Changes of state of emails, by the state entered and its reason.",
		}, []string{"state", "reason"}),
		unknownSignals: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mailroom_unknown_signals_total",
			Help: "Signals to workflows of emails that no workflow knows, such as a misspelt approve; they change nothing.",
		}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mailroom_email_seconds",
			Help:    "Time from receipt to the end of an email, by its final state, without the time that people and paused destinations took.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400},
		}, []string{"state"}),
	}

	for _, c := range []prometheus.Collector{r.states, r.unknownSignals, r.took} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	r.initSeries()
	return r, nil
}

// initSeries creates the series before the first email, so that a rate over them begins at
// zero.
func (r *recorder) initSeries() {
	for _, s := range contract.States {
		if s.Terminal() {
			r.took.WithLabelValues(string(s))
			r.states.WithLabelValues(string(s), "")
		}
	}
	for w := range waits() {
		r.states.WithLabelValues(string(w.state), string(w.reason))
	}
}

// wait is a state in which an email waits, and why.
type wait struct {
	state  contract.State
	reason contract.Reason
}

// waits returns zero for each way in which an email can wait.
func waits() map[wait]int64 {
	none := map[wait]int64{}
	for _, r := range contract.Reasons {
		if r != contract.DownstreamUnavailable { // is held as downstream_exhausted
			none[wait{contract.Quarantined, r}] = 0
		}
	}
	for _, r := range []contract.Reason{
		contract.ScannerUnavailable, contract.StorageUnavailable, contract.DownstreamUnavailable, contract.Internal,
	} {
		none[wait{contract.Retrying, r}] = 0
	}
	return none
}

// Record implements activities.StateRecorder. A repeat is counted again.
func (r *recorder) Record(ctx context.Context, in contract.RecordInput) error {
	if err := r.ledger.Record(ctx, in); err != nil {
		return err
	}
	r.report(in, r.waited(ctx, in)[in.Email.ID])
	return nil
}

// RecordSignals implements activities.StateRecorder.
func (r *recorder) RecordSignals(ctx context.Context, in contract.SignalsInput) error {
	return r.ledger.RecordSignals(ctx, in)
}

// RecordAll implements activities.EndRecorder. A repeat is counted again.
func (r *recorder) RecordAll(ctx context.Context, list []contract.RecordInput) error {
	if err := r.ledger.RecordAll(ctx, list); err != nil {
		return err
	}
	waited := r.waited(ctx, list...)
	for _, in := range list {
		r.report(in, waited[in.Email.ID])
	}
	return nil
}

// quick is the time from receipt to end up to which the ledger is not asked how long an
// email waited for people: nearly all mail takes less.
const quick = 5 * time.Second

// waited returns how long the emails that came to their end waited for people.
func (r *recorder) waited(ctx context.Context, list ...contract.RecordInput) map[int64]time.Duration {
	var ids []int64
	for _, in := range list {
		if in.State.Terminal() && took(in) > quick {
			ids = append(ids, in.Email.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}

	out, err := r.ledger.Waited(ctx, ids)
	if err != nil {
		r.logger.Warn("email.wait_unknown", "emails", len(ids), "error", err)
	}
	return out
}

// took returns the time from receipt to a change of state.
func took(in contract.RecordInput) time.Duration {
	return time.Duration(in.AtUnixMilli-in.ReceivedAtUnixMilli) * time.Millisecond
}

// report counts and logs a change of state. waited is how long the email waited for people.
func (r *recorder) report(in contract.RecordInput, waited time.Duration) {
	r.states.WithLabelValues(string(in.State), string(in.Reason)).Inc()
	line := append(telemetry.Attrs(in.Email), "state", string(in.State), "reason", string(in.Reason))
	if in.State.Terminal() {
		r.took.WithLabelValues(string(in.State)).Observe(max(took(in)-waited, 0).Seconds())
		line = append(line, "took_ms", took(in).Milliseconds(), "waited_ms", waited.Milliseconds())
	}
	if d := in.Decision; d != nil {
		line = append(line, "action", string(d.Action), "actor", d.Actor, "via", string(d.Via))
	}
	r.logger.Info("email.state", line...)
}

// openEmails counts, at each scrape, the emails that wait, by state and reason.
type openEmails struct {
	views  *postgres.Views
	logger *slog.Logger
	desc   *prometheus.Desc
	stuck  *prometheus.Desc
}

// scrapeTimeout bounds the query behind a scrape.
const scrapeTimeout = 2 * time.Second

func newOpenEmails(views *postgres.Views, logger *slog.Logger) *openEmails {
	return &openEmails{
		views: views, logger: logger,
		desc: prometheus.NewDesc("mailroom_emails_open",
			"Emails that wait for something or for a person, by state and reason.", []string{"state", "reason"}, nil),
		stuck: prometheus.NewDesc("mailroom_inbox_stuck",
			"Emails whose workflow was started over 15 minutes ago and has not stored them.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (o *openEmails) Describe(ch chan<- *prometheus.Desc) {
	ch <- o.desc
	ch <- o.stuck
}

// Collect implements prometheus.Collector. While the database is unavailable only these
// series are absent.
func (o *openEmails) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	counts, err := o.views.CountOpen(ctx)
	if err != nil {
		o.logger.Warn("metrics.open_emails", "error", err)
		return
	}
	stuck, err := o.views.CountStuck(ctx)
	if err != nil {
		o.logger.Warn("metrics.open_emails", "error", err)
		return
	}

	ch <- prometheus.MustNewConstMetric(o.stuck, prometheus.GaugeValue, float64(stuck))
	open := waits()
	for _, c := range counts {
		open[wait{c.State, c.Reason}] = c.Count
	}
	for w, n := range open {
		ch <- prometheus.MustNewConstMetric(o.desc, prometheus.GaugeValue, float64(n), string(w.state), string(w.reason))
	}
}
