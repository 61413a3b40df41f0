package ingress

import (
	"github.com/prometheus/client_golang/prometheus"

	"mailroom/ingress/guard"
)

var (
	certificateEndsDesc = prometheus.NewDesc("mailroom_certificate_not_after_timestamp_seconds",
		"When the certificate that is served ends.", nil, nil)
	certificateFailingDesc = prometheus.NewDesc("mailroom_certificate_failing",
		"1 while the files hold something that cannot be used and an older certificate is served.", nil, nil)
)

// certificateMetrics shows when the certificate ends and whether a newer one could not be
// used. Without TLS there is no end, and nothing fails.
type certificateMetrics struct{ certificate *guard.Certificate }

// Describe implements prometheus.Collector.
func (m certificateMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- certificateEndsDesc
	ch <- certificateFailingDesc
}

// Collect implements prometheus.Collector.
func (m certificateMetrics) Collect(ch chan<- prometheus.Metric) {
	failing := 0.0
	if m.certificate != nil {
		if m.certificate.Failing() {
			failing = 1
		}
		ch <- prometheus.MustNewConstMetric(certificateEndsDesc, prometheus.GaugeValue, float64(m.certificate.NotAfter().Unix()))
	}
	ch <- prometheus.MustNewConstMetric(certificateFailingDesc, prometheus.GaugeValue, failing)
}

// newConnectionMetrics shows how many connections were one too many.
func newConnectionMetrics(listeners []*guard.LimitedListener) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mailroom_connections_refused_total", Help: "Connections closed at once because there were too many.",
	}, func() float64 {
		var n uint64
		for _, l := range listeners {
			n += l.Refused()
		}
		return float64(n)
	})
}
