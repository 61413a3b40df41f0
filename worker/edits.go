package worker

import (
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

func newEditKeeper(file *config.File, compiled *rules.Rules, recent *recentLedger, o objects) (editKeeper, error) {
	// The ledger itself: what was just stored is not what an edit is laid over.
	stored := struct {
		*postgres.Emails
		*postgres.Decisions
	}{recent.Emails, recent.Decisions}
	editor, err := preview.New(preview.Config{Destinations: file.Destinations}, preview.Deps{Ledger: stored, Objects: o.store, Rules: compiled})
	return editKeeper{Editor: editor, recentLedger: recent}, err
}
