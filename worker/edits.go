package worker

import (
	"mailroom/shared/config"
	"mailroom/shared/edit/preview"
	"mailroom/shared/postgres"
	"mailroom/shared/rules"
)

// edits saves edits that other programs have signalled to a workflow, and applies all.
type edits struct {
	*preview.Editor
	*manifestCache
}

func newEdits(file *config.File, compiled *rules.Rules, recent *manifestCache, o objects) (edits, error) {
	// Not the cache: an edit applies to what the database holds.
	stored := struct {
		*postgres.Emails
		*postgres.Decisions
	}{recent.Emails, recent.Decisions}
	editor, err := preview.New(preview.Config{Destinations: file.Destinations}, preview.Deps{Ledger: stored, Objects: o.store, Rules: compiled})
	return edits{Editor: editor, manifestCache: recent}, err
}
