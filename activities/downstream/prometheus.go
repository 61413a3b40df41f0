package downstream

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailroom/shared/config"
)

// Prometheus is a Metrics with collectors on a registry.
type Prometheus struct {
	attempts *prometheus.CounterVec
	duration *prometheus.HistogramVec
	breaker  *prometheus.GaugeVec
}

var _ Metrics = (*Prometheus)(nil)

// States returns the states of a breaker.
func States() []string { return []string{"closed", "half-open", "open"} }

// NewPrometheus registers the delivery metrics, with the series of each destination at
// zero. Registering them twice is an error.
func NewPrometheus(reg prometheus.Registerer, destinations []config.Destination) (*Prometheus, error) {
	p := &Prometheus{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mailroom_delivery_attempts_total",
			Help: "Attempts at a destination by result; breaker_open, busy and no_body made no call.",
		}, []string{"destination", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mailroom_delivery_attempt_seconds",
			Help:    "Duration of an attempt at a destination, with the wait for a free place.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"destination"}),
		breaker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mailroom_delivery_breaker_state",
			Help: "1 for the state that the breaker of a destination is in, 0 for the others.",
		}, []string{"destination", "state"}),
	}

	for _, c := range []prometheus.Collector{p.attempts, p.duration, p.breaker} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register delivery metrics: %w", err)
		}
	}
	for _, d := range destinations {
		p.duration.WithLabelValues(d.Name)
		for _, result := range results() {
			p.attempts.WithLabelValues(d.Name, result)
		}
	}
	return p, nil
}

// Attempt counts one attempt.
func (p *Prometheus) Attempt(destination, result string, took time.Duration) {
	p.attempts.WithLabelValues(destination, result).Inc()
	p.duration.WithLabelValues(destination).Observe(took.Seconds())
}

// Breaker sets the state of a breaker.
func (p *Prometheus) Breaker(destination, state string) {
	for _, s := range States() {
		v := 0.0
		if s == state {
			v = 1
		}
		p.breaker.WithLabelValues(destination, s).Set(v)
	}
}
