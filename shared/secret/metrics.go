package secret

import "github.com/prometheus/client_golang/prometheus"

// Collector shows the state of a store's references, which are not secret.
type Collector struct {
	store   *Store
	failing *prometheus.Desc
	updated *prometheus.Desc
	gone    *prometheus.Desc
	until   *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector makes the collector of a store. For each reference it shows
//
//	mailroom_secret_failing                            1 while it cannot be read and its last value is used
//	mailroom_secret_updated_timestamp_seconds          when the current value was first read; absent while it is only expected
//	mailroom_secret_gone                               1 while its store says that it does not exist
//	mailroom_secret_verifies_until_timestamp_seconds   until when one that is gone verifies
func NewCollector(store *Store) *Collector {
	return &Collector{
		store: store,
		failing: prometheus.NewDesc("mailroom_secret_failing",
			"Whether the reference cannot be read now; its last good value serves.", []string{"ref"}, nil),
		updated: prometheus.NewDesc("mailroom_secret_updated_timestamp_seconds",
			"When the present value of the reference was first seen.", []string{"ref"}, nil),
		gone: prometheus.NewDesc("mailroom_secret_gone",
			"Whether the store of the reference says that it does not exist.", []string{"ref"}, nil),
		until: prometheus.NewDesc("mailroom_secret_verifies_until_timestamp_seconds",
			"Until when a reference that is gone verifies requests.", []string{"ref"}, nil),
	}
}

// Describe sends the descriptions.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.failing
	out <- c.updated
	out <- c.gone
	out <- c.until
}

// Collect sends the state of each reference as it is now.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	for _, st := range c.store.Status() {
		out <- prometheus.MustNewConstMetric(c.failing, prometheus.GaugeValue, flag(st.Failing), st.Ref)
		out <- prometheus.MustNewConstMetric(c.gone, prometheus.GaugeValue, flag(st.Gone), st.Ref)
		if st.Gone {
			out <- prometheus.MustNewConstMetric(c.until, prometheus.GaugeValue, float64(st.VerifiesUntil.Unix()), st.Ref)
		}
		if !st.Updated.IsZero() {
			seconds := float64(st.Updated.UnixNano()) / 1e9
			out <- prometheus.MustNewConstMetric(c.updated, prometheus.GaugeValue, seconds, st.Ref)
		}
	}
}

func flag(set bool) float64 {
	if set {
		return 1
	}
	return 0
}
