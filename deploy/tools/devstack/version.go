package main

import (
	"fmt"
	"io"
	"runtime/debug"
)

// printVersions prints what is in this program.
func printVersions(stdout io.Writer) error {
	for _, part := range []struct{ name, module string }{
		{"Temporal", "go.temporal.io/server"},
		{"Web UI", "github.com/temporalio/ui-server/v2"},
		{"versitygw", "github.com/versity/versitygw"},
	} {
		if _, err := fmt.Fprintf(stdout, "%-10s %s\n", part.name, moduleVersion(part.module)); err != nil {
			return err
		}
	}
	return nil
}

// moduleVersion returns the version of a module that this program was linked with.
func moduleVersion(path string) string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return "unknown"
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return "unknown"
}
