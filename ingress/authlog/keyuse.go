package authlog

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailroom/shared/config"
)

// KeyUse holds when each secret of each source last verified a request in this process, and
// saves that in Run. It has no record of earlier processes or other ingresses, which the
// store has. It is safe for concurrent use, and a prometheus.Collector.
type KeyUse struct {
	sources map[string]map[int]keyUse // never changed after NewKeyUse
	expires *prometheus.Desc
	used    *prometheus.Desc
}

// keyUse is the last use of one secret; that of key 0 is the last use of a source that
// verifies nothing.
type keyUse struct {
	number  string
	ref     string
	scheme  string
	expires time.Time     // zero: never
	last    *atomic.Int64 // Unix nanoseconds, 0: never
}

// NewKeyUse returns a KeyUse for the secrets of sources, none of them used. A secret's
// number is its place in the configuration, from 1.
func NewKeyUse(sources []config.Source) *KeyUse {
	labels := []string{"source", "key"}
	u := &KeyUse{
		sources: make(map[string]map[int]keyUse, len(sources)),
		expires: prometheus.NewDesc("mailroom_secret_expires_timestamp_seconds",
			"When a webhook secret expires. Secrets that never expire have no series.", labels, nil),
		used: prometheus.NewDesc("mailroom_secret_last_used_timestamp_seconds",
			"When a webhook secret last verified a request in this process. 0 means never.", labels, nil),
	}

	for _, s := range sources {
		keys := make(map[int]keyUse, len(s.Secrets))
		for i, k := range s.Secrets {
			number := s.KeyNumber(i)
			keys[number] = keyUse{number: strconv.Itoa(number), ref: k.Ref, scheme: k.Scheme, expires: k.Expires, last: new(atomic.Int64)}
		}
		if len(keys) == 0 {
			keys[0] = keyUse{last: new(atomic.Int64)}
		}
		u.sources[s.Name] = keys
	}
	return u
}

// RecordUse records that a key of a source verified a request at a time. It allocates
// nothing and takes no lock. An unknown key is ignored, such as 0, that of the scheme none, of
// a source that has secrets; a use within a second of the last one may be.
func (u *KeyUse) RecordUse(source string, key int, at time.Time) {
	use, known := u.sources[source][key]
	if !known {
		return
	}
	cell, now := use.last, at.UnixNano()
	for {
		last := cell.Load()
		if now-last < int64(time.Second) || cell.CompareAndSwap(last, now) {
			return
		}
	}
}

// LastUse returns when a key last verified a request, in UTC, with a precision of a second.
// It returns the zero time for a key that has not, and for an unknown key.
func (u *KeyUse) LastUse(source string, key int) time.Time {
	use, known := u.sources[source][key]
	if !known {
		return time.Time{}
	}
	last := use.last.Load()
	if last == 0 {
		return time.Time{}
	}
	return time.Unix(0, last).UTC()
}

// Describe implements prometheus.Collector.
func (u *KeyUse) Describe(ch chan<- *prometheus.Desc) {
	ch <- u.expires
	ch <- u.used
}

// Collect implements prometheus.Collector.
func (u *KeyUse) Collect(ch chan<- prometheus.Metric) {
	for source, keys := range u.sources {
		for _, k := range keys {
			if k.number == "" {
				continue
			}
			if !k.expires.IsZero() {
				ch <- prometheus.MustNewConstMetric(u.expires, prometheus.GaugeValue, float64(k.expires.Unix()), source, k.number)
			}
			last := float64(k.last.Load()) / float64(time.Second)
			ch <- prometheus.MustNewConstMetric(u.used, prometheus.GaugeValue, last, source, k.number)
		}
	}
}
