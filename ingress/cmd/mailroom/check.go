package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"mailroom/shared/config"
	"mailroom/shared/program"
	"mailroom/shared/secret"
)

// check reads environment and configuration as serve does, and prints whether the servers
// would start with them. It names the mistakes of both.
func (p *process) check(ctx context.Context, asJSON bool, servers ...server) error {
	roles := rolesOf(servers)
	env, found := config.ReadEnv(p.getenv, roles)
	logger := slog.New(slog.DiscardHandler)
	secrets := secret.Open(p.getenv, logger)

	file, err := config.LoadWith(ctx, env.ConfigPath, roles, secrets)
	if err == nil {
		c := program.Config{Env: env, File: file, Secrets: secrets, Logger: logger}
		err = checkServers(c, servers)
	}
	found = errors.Join(found, err)

	if !asJSON {
		if found != nil {
			return found
		}
		fmt.Fprintf(p.stdout, "configuration %s is valid for %s\n", env.ConfigPath, roles)
		return nil
	}

	report, err := config.ReportOf(env.ConfigPath, found)
	if err != nil {
		return err
	}
	text, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Fprintf(p.stdout, "%s\n", text)
	return found
}

// checkServers returns the mistakes that the servers find, as one error about the file.
func checkServers(c program.Config, servers []server) error {
	var mistakes []config.Mistake
	for _, s := range servers {
		err := s.check(c)
		var invalid *config.Invalid
		if err != nil && !errors.As(err, &invalid) {
			return err
		}
		if invalid != nil {
			mistakes = append(mistakes, invalid.Mistakes...)
		}
	}
	return c.File.Invalid(mistakes...)
}
