// Package build says which build a program is. The linker sets the variables of it.
package build

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set when a program is linked:
//
//	go build -ldflags "-X mailroom/shared/build.version=v1.2.3 -X mailroom/shared/build.commit=<hash> …"
var (
	version string
	commit  string
	date    string
)

// Info identifies the build of a program.
type Info struct {
	Version string // "dev" unless a version was linked in
	Commit  string // "unknown" where neither the linker nor the Go command was told
	Date    string // of the commit, RFC 3339 in UTC; "unknown" like Commit
	Go      string // such as go1.26.8
}

// Read returns the build of this program.
func Read() Info {
	b := Info{Version: version, Commit: commit, Date: date, Go: runtime.Version()}
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
func (b Info) Attrs() []any {
	return []any{"version", b.Version, "commit", b.Commit, "go_version", b.Go}
}

// Text returns the lines that `version` of a program prints.
func (b Info) Text(program string) string {
	return fmt.Sprintf("%-8s %s\ncommit   %s\ndate     %s\n%s\n", program, b.Version, b.Commit, b.Date, b.Go)
}
