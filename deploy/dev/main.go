// Command dev runs Mailroom's local stack: go run ./deploy/dev help.
package main

import (
	_ "embed"
	"os"

	"mailroom/deploy/dev/command"
)

// config is the configuration of development, for where there is no repository.
//
//go:embed mailroom.yaml
var config []byte

func main() {
	os.Exit(command.Run(os.Args[1:], config, os.Stdout, os.Stderr))
}
