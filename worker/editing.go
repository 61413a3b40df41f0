package worker

import (
	"fmt"

	"mailroom/shared/config"
	"mailroom/shared/edit/preview"
	"mailroom/shared/postgres"
	"mailroom/shared/rules"
)

// editKeeper keeps the edits that come past our own programs, and applies all.
type editKeeper struct {
	*preview.Editor
	*recentLedger
}

func newEditKeeper(file *config.File, recent *recentLedger, o objects) (editKeeper, error) {
	compiled, err := rules.New(file.Routes, file.Tenants, file.Destinations)
	if err != nil {
		return editKeeper{}, fmt.Errorf("routes: %w", err)
	}
	// The ledger itself: what was just stored is not what an edit is laid over.
	stored := struct {
		*postgres.Emails
		*postgres.Decisions
	}{recent.Emails, recent.Decisions}
	editor, err := preview.New(preview.Config{Destinations: file.Destinations}, preview.Deps{Ledger: stored, Objects: o.store, Rules: compiled})
	return editKeeper{Editor: editor, recentLedger: recent}, err
}
