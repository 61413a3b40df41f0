package secret

import "github.com/prometheus/client_golang/prometheus"

// Collector shows the state of a store's references. References are not secret.
type Collector struct {
	store   *Store
	failing *prometheus.Desc
	updated *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector makes the collector of a store: mailroom_secret_failing is 1 while
// a reference cannot be read and its last good value serves, and
// mailroom_secret_updated_timestamp_seconds is when the present value was first
// seen, absent for one that is only expected.
func NewCollector(store *Store) *Collector {
	return &Collector{
		store: store,
		failing: prometheus.NewDesc("mailroom_secret_failing",
			"Whether the reference cannot be read now; its last good value serves.", []string{"ref"}, nil),
		updated: prometheus.NewDesc("mailroom_secret_updated_timestamp_seconds",
			"When the present value of the reference was first seen.", []string{"ref"}, nil),
	}
}

// Describe sends both descriptions.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.failing
	out <- c.updated
}

// Collect sends the state of each reference as it is now.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	for _, st := range c.store.Status() {
		failing := 0.0
		if st.Failing {
			failing = 1
		}
		out <- prometheus.MustNewConstMetric(c.failing, prometheus.GaugeValue, failing, st.Ref)
		if !st.Updated.IsZero() {
			seconds := float64(st.Updated.UnixNano()) / 1e9
			out <- prometheus.MustNewConstMetric(c.updated, prometheus.GaugeValue, seconds, st.Ref)
		}
	}
}
