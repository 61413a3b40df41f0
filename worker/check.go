package worker

import (
	"log/slog"

	"mailroom/shared/inspection"
	"mailroom/shared/program"
	"mailroom/shared/rules"
)

// Check returns an *config.Invalid if Run would refuse the configuration. It connects to
// nothing.
func Check(c program.Config) error {
	mistakes := rules.Check(c.File)
	if _, err := inspection.New(examined(c.File)); err != nil {
		mistakes = append(mistakes, c.File.Mistake(err.Error(), "attachments"))
	}
	if _, err := newScanner(c.Env.ClamdAddress, c.File.Scanner, slog.New(slog.DiscardHandler)); err != nil {
		mistakes = append(mistakes, c.File.Mistake(err.Error(), "scanner"))
	}
	return c.File.Invalid(mistakes...)
}
