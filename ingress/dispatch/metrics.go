package dispatch

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of the dispatcher.
type metrics struct {
	starts       *prometheus.CounterVec // result
	startSeconds prometheus.Histogram   // one call to Temporal
	inFlight     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, p *pacer) (*metrics, error) {
	m := &metrics{
		starts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mailroom_starts_total", Help: "Workflow starts by result.",
		}, []string{"result"}),
		startSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mailroom_start_seconds", Help: "Time one workflow start takes.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mailroom_starts_in_flight", Help: "Workflow starts that Temporal has not answered yet.",
		}),
	}

	rate := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mailroom_start_rate", Help: "Workflow starts per second over the last ten seconds, by this ingress.",
	}, p.rate)
	limit := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mailroom_start_limit", Help: "Workflow starts that may be in flight at the moment.",
	}, func() float64 {
		_, limit := p.state()
		return float64(limit)
	})

	for _, c := range []prometheus.Collector{m.starts, m.startSeconds, m.inFlight, rate, limit} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	for _, r := range []startResult{startDone, startAlready, startRefused, startOccupied, startFailed} {
		m.starts.WithLabelValues(string(r))
	}
	return m, nil
}
