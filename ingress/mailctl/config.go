package mailctl

import (
	"errors"
	"fmt"

	"mailroom/ingress/source"
	"mailroom/shared/config"
	"mailroom/shared/rules"
)

type configCommands struct {
	Check  configCheckCommand  `cmd:"" help:"Check a configuration file as the roles do at start, without a server."`
	Schema configSchemaCommand `cmd:"" help:"Print the JSON Schema of configuration files, for editors."`
}

type configSchemaCommand struct{}

// Run prints the schema.
func (c *configSchemaCommand) Run(s *session) error { return s.printf("%s", config.Schema()) }

type configCheckCommand struct {
	File    string `arg:"" help:"The configuration file."`
	Resolve string `enum:"none,ingress,worker,all" default:"none" help:"Also resolve the secrets of a role here: ingress, worker or all. By default the form of each reference is checked."`
}

// Run prints every mistake with its path and line; a file with mistakes is exit code 1.
func (c *configCheckCommand) Run(s *session) error {
	found := c.check(s)
	report, err := config.ReportOf(c.File, found)
	if err != nil {
		return err
	}
	if s.json() {
		if err := s.printJSON(report); err != nil {
			return err
		}
	}
	if found == nil {
		if s.json() {
			return nil
		}
		return s.printf("%s is valid\n", visible(c.File))
	}

	var invalid *config.Invalid
	if !s.json() && errors.As(found, &invalid) {
		if err := s.printf("%s\n", visibleLines(invalid.Lines()[1:])); err != nil {
			return err
		}
	}
	return fmt.Errorf("configuration %s is not valid: %s", c.File, mistakes(len(report.Mistakes)))
}

func (c *configCheckCommand) check(s *session) error {
	role := map[string]config.Role{
		"none": config.RoleNone, "ingress": config.RoleIngress, "worker": config.RoleWorker, "all": config.RoleAll,
	}[c.Resolve]
	file, err := config.Check(s.ctx, c.File, role, s.getenv)
	if err != nil {
		return err
	}
	found := rules.Check(file)
	if role&config.RoleIngress != 0 { // schemes are made of secrets
		found = append(found, source.Check(file)...)
	}
	return file.Invalid(found...)
}

func mistakes(n int) string {
	if n == 1 {
		return "1 mistake"
	}
	return fmt.Sprintf("%d mistakes", n)
}
