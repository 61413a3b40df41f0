package console

import (
	"slices"

	"mailroom/ingress/operator/operations"
	"mailroom/shared/ledger"
)

// option is one of a list of names to choose from.
type option struct {
	Value, Name string
	Chosen      bool
}

// optionsOf offers names. One that is chosen and not configured any more is offered too.
func optionsOf(names []string, chosen string) []option {
	out := make([]option, 0, len(names)+1)
	for _, name := range names {
		out = append(out, option{name, name, name == chosen})
	}
	if chosen != "" && !slices.Contains(names, chosen) {
		out = append(out, option{chosen, chosen + " (not configured)", true})
	}
	return out
}

// emailList is a table of emails. It names the tenant and the source of each where there
// are several.
type emailList struct {
	Emails         []ledger.EmailRow
	Tenant, Source bool
	// Picks has, by number, what the checkboxes of emails submit; nil for a list without.
	Picks map[int64]string
}

func listOf(rows []ledger.EmailRow, known operations.Choices) emailList {
	out := emailList{Emails: rows, Tenant: len(known.Tenants) > 1, Source: len(known.Sources) > 1}
	for _, row := range rows {
		out.Tenant = out.Tenant || row.Tenant != rows[0].Tenant
		out.Source = out.Source || row.Source != rows[0].Source
	}
	return out
}
