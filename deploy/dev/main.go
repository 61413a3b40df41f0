// Command dev runs Mailroom's local stack: go run ./deploy/dev help.
package main

import (
	"os"

	"mailroom/deploy/dev/command"
)

func main() {
	os.Exit(command.Run(os.Args[1:], os.Stdout, os.Stderr))
}
