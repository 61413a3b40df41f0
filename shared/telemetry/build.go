package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"mailroom/shared/build"
)

// buildCollector returns mailroom_build_info, which is always 1.
func buildCollector(b build.Info) prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "mailroom_build_info",
		Help:        "The build of this program, by version, commit and Go version; always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go_version": b.Go},
	})
	info.Set(1)
	return info
}
