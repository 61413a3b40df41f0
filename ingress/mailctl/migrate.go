package mailctl

import (
	"mailroom/shared/postgres"
)

type migrateCommand struct{}

// Run applies migrations. Several runs at once wait for each other.
func (c *migrateCommand) Run(s *session) error {
	url := s.getenv("DATABASE_URL")
	if url == "" {
		return usagef("set DATABASE_URL to the database that is to be migrated")
	}
	if err := postgres.Migrate(s.ctx, url); err != nil {
		return err
	}
	unindexed, err := postgres.EnsureSearchIndex(s.ctx, url)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(map[string]any{"migrated": true, "search_index": unindexed == ""})
	}
	if unindexed != "" {
		err := s.printf("searches have no index and will be slow in a large ledger: %s\n"+
			"install PostgreSQL's contrib modules, or let a superuser run CREATE EXTENSION pg_trgm, and migrate again\n",
			visible(unindexed))
		if err != nil {
			return err
		}
	}
	return s.printf("the database is up to date\n")
}
