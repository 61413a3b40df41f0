package telemetry

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// Set when a program is linked:
//
//	go build -ldflags "-X mailroom/shared/telemetry.version=v1.2.3 -X mailroom/shared/telemetry.commit=<hash> …"
var (
	version string
	commit  string
	date    string
)

// Build identifies the build of a program.
type Build struct {
	Version string // "dev" unless a version was linked in
	Commit  string // "unknown" where neither the linker nor the Go command was told
	Date    string // of the commit, RFC 3339 in UTC; "unknown" like Commit
	Go      string // such as go1.26.8
}

// ReadBuild returns the build of this program.
func ReadBuild() Build {
	b := Build{Version: version, Commit: commit, Date: date, Go: runtime.Version()}
	if b.Version == "" {
		b.Version = "dev"
	}

	stamped := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			stamped[s.Key] = s.Value
		}
	}
	if b.Commit == "" {
		b.Commit = stampedCommit(stamped)
	}
	if b.Date == "" {
		b.Date = cmp.Or(stamped["vcs.time"], "unknown")
	}
	return b
}

// stampedCommit returns the commit among what the Go command has stamped into the program.
func stampedCommit(stamped map[string]string) string {
	switch {
	case stamped["vcs.revision"] == "":
		return "unknown"
	case stamped["vcs.modified"] == "true":
		return stamped["vcs.revision"] + "-dirty"
	default:
		return stamped["vcs.revision"]
	}
}

// Attrs returns the build as keys and values for slog.
func (b Build) Attrs() []any {
	return []any{"version", b.Version, "commit", b.Commit, "go_version", b.Go}
}

// collector returns mailroom_build_info, which is always 1.
func (b Build) collector() prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "mailroom_build_info",
		Help:        "The build of this program, by version, commit and Go version; always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go_version": b.Go},
	})
	info.Set(1)
	return info
}
