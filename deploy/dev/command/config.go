package command

import (
	"errors"
	"fmt"

	"mailroom/shared/config"
)

// checkConfig finds what is wrong with a configuration before anything is started.
func checkConfig(path string, getenv func(string) string) error {
	_, err := config.Load(path, getenv)
	var invalid *config.Invalid
	if err == nil || !errors.As(err, &invalid) || len(invalid.Mistakes) == 0 {
		return err
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
	return errors.New(line)
}
