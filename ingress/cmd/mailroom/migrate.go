package main

import (
	"context"
	"encoding/json"
	"fmt"

	"mailroom/shared/postgres"
)

type migrateCommand struct {
	Output string `short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Run applies the pending migrations. Concurrent runs wait for each other.
func (c *migrateCommand) Run(ctx context.Context, p *process) error {
	url := p.getenv("DATABASE_URL")
	if url == "" {
		return usageError{"set DATABASE_URL to the database that is to be migrated"}
	}

	if err := postgres.Migrate(ctx, url); err != nil {
		return err
	}
	unindexed, err := postgres.EnsureSearchIndex(ctx, url)
	if err != nil {
		return err
	}

	if c.Output == "json" {
		text, err := json.Marshal(map[string]any{"migrated": true, "search_index": unindexed == ""})
		if err != nil {
			return fmt.Errorf("print: %w", err)
		}
		fmt.Fprintf(p.stdout, "%s\n", text)
		return nil
	}
	if unindexed != "" {
		fmt.Fprintf(p.stdout, "searches have no index and will be slow in a large ledger: %q\n"+
			"install PostgreSQL's contrib modules, or let a superuser run CREATE EXTENSION pg_trgm, and migrate again\n", unindexed)
	}
	fmt.Fprintln(p.stdout, "the database is up to date")
	return nil
}
