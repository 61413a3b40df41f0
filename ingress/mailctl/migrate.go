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
	if s.json() {
		return s.printJSON(map[string]bool{"migrated": true})
	}
	return s.printf("the database is up to date\n")
}
