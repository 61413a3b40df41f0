package webhook

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"mailroom/ingress/guard"
	"mailroom/ingress/signature"
	"mailroom/ingress/source"
	"mailroom/shared/fault"
)

// metrics are the metrics of the public listener. Every label value comes from a fixed
// list or from the configuration, never from a request.
type metrics struct {
	requests      *prometheus.CounterVec // route, status
	ackSeconds    prometheus.Histogram   // from the header read to the answer, of 2xx
	accepted      *prometheus.CounterVec // source, outcome
	duplicates    *prometheus.CounterVec // source
	kept          *prometheus.CounterVec // source, code
	inlined       prometheus.Counter     // bodies in rows because the object store was unavailable
	refused       *prometheus.CounterVec // source, code
	verifications *prometheus.CounterVec // source, scheme, key, result
	unknownFields *prometheus.CounterVec // source
	inboxWaiting  prometheus.Gauge       // rows that are not started, of all ingresses
	inboxOldest   prometheus.Gauge       // seconds
	auditSeq      *prometheus.GaugeVec   // without labels; shown once it was read
	collectors    []prometheus.Collector
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{}
	m.requests = m.counters("http_requests_total", "HTTP requests by route and status.", "route", "status")
	m.ackSeconds = m.histogram("ack_seconds", "Time from a request's header to its 2xx.",
		.0005, .001, .0025, .005, .01, .015, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	m.accepted = m.counters("events_accepted_total", "Verified events that were answered 2xx.", "source", "outcome")
	m.duplicates = m.counters("duplicates_total", "Verified events that had been accepted before.", "source")

	m.kept = m.counters("events_kept_unread_total",
		"Authentic events that cannot be read, or not wholly, and were accepted to be held, by what is wrong.", "source", "code")
	m.inlined = m.counters("bodies_inlined_total",
		"Large bodies that went into their row because the object store was unavailable.").WithLabelValues()
	m.refused = m.counters("refused_total", "Requests that were not accepted, by code.", "source", "code")
	m.verifications = m.counters("verifications_total",
		"Signature checks; key is the place of the secret in the configuration, none where no secret matched.",
		"source", "scheme", "key", "result")
	m.unknownFields = m.counters("unknown_fields_total", "Fields of accepted events that the shape does not name.", "source")

	m.inboxWaiting = m.gauge("inbox_waiting", "Accepted events whose workflow has not been started.")
	m.inboxOldest = m.gauge("inbox_oldest_seconds", "How long the oldest of them has been waiting.")
	m.auditSeq = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "mailroom", Name: "audit_seq", Help: "Number of the last entry of the hash chain of decisions. It never goes back.",
	}, nil)
	m.collectors = append(m.collectors, m.auditSeq)

	for _, c := range m.collectors {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// initSource creates the series of a source before its first event, so that a rate over
// them begins at zero: of each outcome, and of the failures that are most likely. Other
// codes and statuses appear when they first happen.
func (m *metrics) initSource(src *source.Source) {
	m.requests.WithLabelValues(src.Path, strconv.Itoa(http.StatusOK))
	for _, o := range []string{"inserted", "duplicate", "conflict"} {
		m.accepted.WithLabelValues(src.Name, o)
	}
	m.duplicates.WithLabelValues(src.Name)
	m.unknownFields.WithLabelValues(src.Name)
	m.kept.WithLabelValues(src.Name, string(fault.FieldInvalid))
	for _, code := range []fault.Code{fault.SignatureInvalid, fault.StorageUnavailable} {
		m.refused.WithLabelValues(src.Name, string(code))
	}

	for _, scheme := range src.Schemes {
		m.initScheme(src, scheme.Name())
	}
}

// initScheme creates the series of one scheme of a source.
func (m *metrics) initScheme(src *source.Source, scheme string) {
	for i, secret := range src.Config.Secrets {
		if secret.Scheme == "" || secret.Scheme == scheme {
			m.verifications.WithLabelValues(src.Name, scheme, strconv.Itoa(src.Config.KeyNumber(i)), "ok")
		}
	}

	switch scheme {
	case signature.NoneName:
		m.verifications.WithLabelValues(src.Name, scheme, "0", "ok")
	case signature.BasicName, signature.BearerName:
		m.verifications.WithLabelValues(src.Name, scheme, "none", string(fault.CredentialsInvalid))
	default:
		m.verifications.WithLabelValues(src.Name, scheme, "none", string(fault.SignatureInvalid))
	}
}

func (m *metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "mailroom", Name: name, Help: help}, labels)
	m.collectors = append(m.collectors, c)
	return c
}

func (m *metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "mailroom", Name: name, Help: help})
	m.collectors = append(m.collectors, g)
	return g
}

func (m *metrics) histogram(name, help string, buckets ...float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "mailroom", Name: name, Help: help, Buckets: buckets,
	})
	m.collectors = append(m.collectors, h)
	return h
}

// newUndeclaredMetrics returns the counter of requests through a proxy that is not declared.
func newUndeclaredMetrics(u *guard.Undeclared) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mailroom_undeclared_proxy_requests_total",
		Help: "Requests from this machine with X-Forwarded-For while ingress.trusted_proxies is empty.",
	}, func() float64 { return float64(u.Total()) })
}

// crowdMetrics collects what requests and connections hold, and how many were displaced by
// another stranger.
type crowdMetrics struct{ crowd *guard.Crowd }

var (
	heldDesc = prometheus.NewDesc("mailroom_held",
		"What known addresses and strangers hold of what requests share.", []string{"pool", "holder"}, nil)
	displacedDesc = prometheus.NewDesc("mailroom_displaced_total",
		"Requests and connections of strangers that had to give their place to another stranger.", []string{"pool"}, nil)
	connectionsDesc = prometheus.NewDesc("mailroom_connections", "Open connections of the public listeners.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m crowdMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- heldDesc
	ch <- displacedDesc
	ch <- connectionsDesc
}

// Collect implements prometheus.Collector.
func (m crowdMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, p := range []guard.Pool{guard.Places, guard.Buffers, guard.Files, guard.Spool, guard.Connections} {
		all, strangers := m.crowd.Held(p)
		ch <- prometheus.MustNewConstMetric(heldDesc, prometheus.GaugeValue, float64(all-strangers), p.String(), "known")
		ch <- prometheus.MustNewConstMetric(heldDesc, prometheus.GaugeValue, float64(strangers), p.String(), "stranger")
		ch <- prometheus.MustNewConstMetric(displacedDesc, prometheus.CounterValue, float64(m.crowd.Displaced(p)), p.String())
	}
	all, _ := m.crowd.Held(guard.Connections)
	ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(all))
}
