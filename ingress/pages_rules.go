package ingress

import (
	"context"
	"maps"
	"slices"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/console"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/contract"
	"mailroom/shared/edit/preview"
	"mailroom/shared/ledger"
)

// routing is the rules as the console lists and tries them.
type routing struct{ operations *operations.Service }

func (r routing) List(ctx context.Context) ([]console.Rule, error) {
	tenants, _ := access.From(ctx).Tenants(access.Viewer)
	_, rows := r.operations.RouteRows(tenants)
	out := make([]console.Rule, 0, len(rows))
	for _, row := range rows {
		rule := console.Rule{Name: row.Name, To: row.To, Hold: row.Hold}
		for _, name := range slices.Sorted(maps.Keys(row.When)) {
			rule.When = append(rule.When, name+": "+row.When[name])
		}
		for _, name := range slices.Sorted(maps.Keys(row.Header)) {
			rule.When = append(rule.When, "header "+name+": "+row.Header[name])
		}
		out = append(out, rule)
	}
	return out, nil
}

// Test is about a mail that is made up, of a tenant of the caller.
func (r routing) Test(ctx context.Context, in console.Sample) (console.Outcome, error) {
	e, err := r.operations.Test(ctx, access.From(ctx), operations.Sample{
		Recipients: in.Recipients, Sender: in.Sender, Subject: in.Subject, Source: in.Source, Tenant: in.Tenant, Headers: in.Headers,
		Auth: in.Reported.Auth, Type: in.Reported.Type, Mailbox: in.Reported.Mailbox,
	})
	if err != nil {
		return console.Outcome{}, err
	}
	out := console.Outcome{Matched: e.Routes, Destinations: e.Destinations, Held: e.Holds, Foreign: e.Foreign}
	for _, one := range e.Recipients {
		if one.Tag != "" {
			out.Tagged = append(out.Tagged, "The rules read a recipient as "+one.Mailbox+" with the tag "+one.Tag+".")
		}
	}
	for _, v := range e.Rules {
		out.Steps = append(out.Steps, console.OutcomeStep{Rule: v.Name, Matched: v.Matched, Why: v.Why})
	}
	return out, nil
}

// previews show what an edit would change.
type previews struct{ editor *preview.Editor }

// Destinations returns what an edit of an email of the tenant may name.
func (p previews) Destinations(tenant string) []string { return p.editor.Destinations(tenant) }

func (p previews) Preview(ctx context.Context, _ access.Identity, email *ledger.EmailDetail, e contract.Edit) ([]ledger.Change, error) {
	preview, err := p.editor.Preview(ctx, email.Email(), e)
	return preview.Changes, err
}
