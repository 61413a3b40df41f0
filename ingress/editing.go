package ingress

import (
	"fmt"

	"mailroom/shared/config"
	"mailroom/shared/edit/preview"
	"mailroom/shared/rules"
)

// newEditor makes what checks the edits of operators and keeps them.
func newEditor(file *config.File, d dependencies) (*preview.Editor, error) {
	compiled, err := rules.New(file.Routes, file.Tenants, file.Destinations)
	if err != nil {
		return nil, fmt.Errorf("configuration: routes: %w", err)
	}
	return preview.New(preview.Config{Destinations: file.Destinations}, preview.Deps{Ledger: d.reader, Objects: d.bodies, Rules: compiled})
}
