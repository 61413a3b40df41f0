package main

import (
	"fmt"

	"mailroom/shared/build"
)

type versionCommand struct{}

// Run prints which build this is.
func (versionCommand) Run(p *process) error {
	fmt.Fprint(p.stdout, build.Read().Text("mailroom"))
	return nil
}
