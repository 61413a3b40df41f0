package command

import (
	"errors"
	"fmt"

	"mailroom/shared/config"
)

// checkConfig reads a configuration and returns what is wrong with it, before anything is
// started.
func checkConfig(path string, getenv func(string) string) (*config.File, error) {
	file, err := config.Load(path, config.RoleAll, getenv)
	var invalid *config.Invalid
	if err == nil || !errors.As(err, &invalid) || len(invalid.Mistakes) == 0 {
		return file, err
	}

	var line string
	for i, m := range invalid.Mistakes {
		if i > 0 {
			line += "; "
		}
		if m.Path != "" {
			line += m.Path + " "
		}
		if m.Line > 0 {
			line += fmt.Sprintf("(line %d) ", m.Line)
		}
		line += m.Text
	}
	return nil, errors.New(line)
}
