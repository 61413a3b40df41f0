package main

import (
	"fmt"

	"mailroom/shared/telemetry"
)

type versionCommand struct{}

// Run prints which build this is.
func (versionCommand) Run(p *process) error {
	b := telemetry.ReadBuild()
	fmt.Fprintf(p.stdout, "mailroom %s\ncommit   %s\ndate     %s\n%s\n", b.Version, b.Commit, b.Date, b.Go)
	return nil
}
